"use strict";

/* Questions and answers. The tab keeps the conversation, so that it survives a reload and a restart of the server. */

const MAX_TURNS = 50; // the server accepts twice as many
const CITATION = /\[(\d+(?:\s*[,-]\s*\d+)*)\]/g;

class Chat {
  /* `onCitation(citation)` is called when a citation is clicked. `scope()` returns the id of the video to ask about, or
     null for all videos. */
  constructor({ onCitation, scope }) {
    Object.assign(this, { onCitation, scope });
    this.log = document.getElementById("log");
    this.form = document.getElementById("ask");
    this.question = document.getElementById("question");
    this.model = document.getElementById("model");
    this.button = document.getElementById("send");
    this.turns = JSON.parse(sessionStorage.getItem("turns") ?? "[]");
    for (const turn of this.turns) this.addTurn(turn);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.abort) this.abort.abort();
      else this.ask();
    });
    this.question.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      if (!this.abort) this.ask();
    });
    document.getElementById("clear").addEventListener("click", () => {
      this.abort?.abort();
      this.turns = [];
      this.log.replaceChildren();
      this.save();
    });
    this.model.addEventListener("change", () => sessionStorage.setItem("model", this.model.value));
  }

  setModels(models) {
    if (JSON.stringify(this.models) === JSON.stringify(models)) return;
    this.models = models;
    this.model.replaceChildren(...models.map((name) => new Option(name, name)));
    document.getElementById("no-model").hidden = models.length > 0;
    this.button.disabled = this.model.hidden = !models.length;
    const selected = sessionStorage.getItem("model");
    if (models.includes(selected)) this.model.value = selected;
  }

  async ask() {
    const question = this.question.value.trim();
    if (!question || this.button.disabled) return;
    this.question.value = "";
    const turn = { question, text: "", citations: [], closest: [], remark: "", error: "" };
    const history = this.turns.filter((one) => one.text && !one.error).map((one) => [one.question, one.text]).slice(-MAX_TURNS);
    const answer = this.addTurn(turn);
    this.turns.push(turn);
    this.abort = new AbortController();
    this.button.textContent = "Stop";
    try {
      await this.stream(turn, history, answer);
    } catch (error) {
      turn.error = error.name === "AbortError" ? "Stopped." : error.message;
    }
    this.abort = null;
    this.button.textContent = "Ask";
    this.render(answer, turn, true);
    this.save();
  }

  async stream(turn, history, answer) {
    const body = { question: turn.question, model: this.model.value, history, video_id: this.scope() };
    const headers = { "Content-Type": "application/json" };
    const options = { method: "POST", body: JSON.stringify(body), headers, signal: this.abort.signal };
    for await (const part of readLines(await request("api/chat", options))) {
      turn.text += part.text ?? "";
      turn.citations.push(...(part.citations ?? []));
      turn.closest.push(...(part.closest ?? []));
      turn.remark = part.remark ?? turn.remark;
      turn.error = part.error ?? turn.error;
      this.render(answer, turn, false);
    }
  }

  save() {
    sessionStorage.setItem("turns", JSON.stringify(this.turns));
  }

  addTurn(turn) {
    const answer = make("div", { className: "message" });
    this.log.append(make("div", { className: "message question", textContent: turn.question }), answer);
    this.render(answer, turn, Boolean(turn.text || turn.error));
    return answer;
  }

  render(answer, turn, finished) {
    const atEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 80;
    answer.replaceChildren(...this.linkCitations(turn));
    if (!turn.text && !finished) answer.append(make("span", { className: "quiet", textContent: "Working…" }));
    if (turn.citations.length) answer.append(this.makeCitations(turn.citations));
    if (turn.remark) answer.append(make("p", { className: "bad", textContent: turn.remark }));
    if (turn.closest?.length) {
      answer.append(make("p", { className: "quiet", textContent: "The closest moments:" }), this.makeCitations(turn.closest));
    }
    if (turn.error) answer.append(make("p", { className: "bad", textContent: turn.error }));
    if (atEnd) this.log.scrollTop = this.log.scrollHeight;
  }

  /* Split an answer into text and buttons that play the cited moments. */
  linkCitations({ text, citations }) {
    const parts = [];
    let done = 0;
    for (const match of text.matchAll(CITATION)) {
      const cited = citations.find((one) => one.number === Number.parseInt(match[1], 10));
      if (!cited) continue;
      parts.push(text.slice(done, match.index), this.makeCitation(cited, match[0]));
      done = match.index + match[0].length;
    }
    return [...parts, text.slice(done)];
  }

  makeCitations(citations) {
    return make("div", { className: "citations" }, ...citations.map((one) => this.makeCitation(one)));
  }

  makeCitation(citation, text = `${citation.number ? `[${citation.number}] ` : ""}${citation.label}`) {
    const button = make("button", { type: "button", textContent: text, title: `Play ${citation.label}` });
    button.addEventListener("click", () => this.onCitation(citation));
    return button;
  }
}
