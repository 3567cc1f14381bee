"use strict";

/* Requests to the server. Each failure is an Error with a message for the user. */

const UNREACHABLE = "The server does not respond. Is it still running? The page will keep trying.";

async function request(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    throw error.name === "AbortError" ? error : new Error(UNREACHABLE);
  }
  if (!response.ok) throw new Error(errorMessage(response.status, await response.text()));
  return response;
}

async function fetchJson(url) {
  return (await request(url)).json();
}

function errorMessage(status, body) {
  try {
    return JSON.parse(body).error;
  } catch {
    return body || `The server returned an error (${status}).`;
  }
}

/* Upload a file and report progress, which `fetch` cannot do. */
function uploadFile(url, file, onProgress) {
  return new Promise((resolve, reject) => {
    const upload = new XMLHttpRequest();
    upload.open("PUT", url);
    upload.upload.addEventListener("progress", (event) => onProgress(event.loaded / event.total));
    upload.addEventListener("load", () => {
      if (upload.status < 300) resolve(JSON.parse(upload.responseText));
      else reject(new Error(errorMessage(upload.status, upload.responseText)));
    });
    upload.addEventListener("error", () => reject(new Error("The connection was lost during the upload.")));
    upload.send(file);
  });
}

/* Yield the objects of a JSON Lines response. */
async function* readLines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
  }
}

const videoUrl = (id, resource) => `api/videos/${encodeURIComponent(id)}/${resource}`;
