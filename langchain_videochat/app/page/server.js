"use strict";

/* Asking the server. Each failure says in words what is wrong. */

const UNREACHABLE = "The server does not answer. Is it still running? This page tries again by itself.";

async function ask(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch (error) {
    throw error.name === "AbortError" ? error : new Error(UNREACHABLE);
  }
  if (!response.ok) throw new Error(await problemOf(response));
  return response;
}

async function askJson(address) {
  return (await ask(address)).json();
}

async function problemOf(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).error;
  } catch {
    return text || `The server refused (${response.status}).`;
  }
}

/* Send a file, telling the share that is sent. `fetch` cannot tell that. */
function send(address, file, onShare) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", address);
    request.upload.addEventListener("progress", (event) => onShare(event.loaded / event.total));
    request.addEventListener("load", () => {
      const told = request.getResponseHeader("content-type") === "application/json" ? JSON.parse(request.responseText) : {};
      if (request.status < 300) resolve(told);
      else reject(new Error(told.error ?? `The server refused (${request.status}).`));
    });
    request.addEventListener("error", () => reject(new Error("The connection broke while the file was sent.")));
    request.send(file);
  });
}

/* Yield the objects of an answer that comes line by line. */
async function* linesOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (held + value).split("\n");
    held = lines.pop();
    for (const line of lines) yield JSON.parse(line);
  }
}

const videoAddress = (id, what) => `api/videos/${encodeURIComponent(id)}/${what}`;
