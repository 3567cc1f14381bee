"use strict";

/* Questions and answers. What was said is kept with the tab, so that it outlasts a reload and a restart of the server. */

const CITED = /\[(\d+(?:\s*[,-]\s*\d+)*)\]/g;

class Chat {
  /* `onCite(citation)`: play what is cited. `scope()`: the id of the one video to ask about, or null. */
  constructor({ onCite, scope }) {
    Object.assign(this, { onCite, scope });
    this.log = document.getElementById("log");
    this.form = document.getElementById("ask");
    this.question = document.getElementById("question");
    this.model = document.getElementById("model");
    this.button = document.getElementById("send");
    this.turns = JSON.parse(sessionStorage.getItem("turns") ?? "[]");
    for (const turn of this.turns) this.showTurn(turn);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.stop) this.stop.abort();
      else this.ask();
    });
    this.question.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      if (!this.stop) this.ask();
    });
    document.getElementById("forget").addEventListener("click", () => {
      this.stop?.abort();
      this.turns = [];
      this.log.replaceChildren();
      this.keep();
    });
    this.model.addEventListener("change", () => sessionStorage.setItem("model", this.model.value));
  }

  offer(models) {
    if (JSON.stringify(this.offered) === JSON.stringify(models)) return;
    this.offered = models;
    this.model.replaceChildren(...models.map((name) => new Option(name, name)));
    document.getElementById("advice").hidden = models.length > 0;
    this.button.disabled = this.model.hidden = !models.length;
    const chosen = sessionStorage.getItem("model");
    if (models.includes(chosen)) this.model.value = chosen;
  }

  async ask() {
    const question = this.question.value.trim();
    if (!question || this.button.disabled) return;
    this.question.value = "";
    const turn = { question, text: "", citations: [], error: "" };
    const history = this.turns.filter((one) => one.text && !one.error).map((one) => [one.question, one.text]);
    const shown = this.showTurn(turn);
    this.turns.push(turn);
    this.stop = new AbortController();
    this.button.textContent = "Stop";
    try {
      await this.follow(turn, history, shown);
    } catch (error) {
      turn.error = error.name === "AbortError" ? "Stopped." : error.message;
    }
    this.stop = null;
    this.button.textContent = "Ask";
    this.fill(shown, turn, true);
    this.keep();
  }

  async follow(turn, history, shown) {
    const asked = { question: turn.question, model: this.model.value, history, video_id: this.scope() };
    const headers = { "Content-Type": "application/json" };
    const response = await ask("api/chat", { method: "POST", body: JSON.stringify(asked), headers, signal: this.stop.signal });
    for await (const part of linesOf(response)) {
      turn.text += part.text ?? "";
      turn.citations.push(...(part.citations ?? []));
      turn.error = part.error ?? turn.error;
      this.fill(shown, turn, false);
    }
  }

  keep() {
    sessionStorage.setItem("turns", JSON.stringify(this.turns));
  }

  showTurn(turn) {
    const answer = make("div", { className: "said" });
    this.log.append(make("div", { className: "said question", textContent: turn.question }), answer);
    this.fill(answer, turn, Boolean(turn.text || turn.error));
    return answer;
  }

  fill(answer, turn, finished) {
    const atEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 80;
    answer.replaceChildren(...this.linked(turn));
    if (!turn.text && !finished) answer.append(make("span", { className: "quiet", textContent: "Looking…" }));
    if (turn.citations.length) {
      answer.append(make("div", { className: "cites" }, ...turn.citations.map((one) => this.makeCitation(one))));
    }
    if (turn.error) answer.append(make("p", { className: "bad", textContent: turn.error }));
    if (atEnd) this.log.scrollTop = this.log.scrollHeight;
  }

  /* The text of an answer, in which the numbers of moments play them. */
  linked({ text, citations }) {
    const parts = [];
    let done = 0;
    for (const match of text.matchAll(CITED)) {
      const cited = citations.find((one) => one.number === Number.parseInt(match[1], 10));
      if (!cited) continue;
      parts.push(text.slice(done, match.index), this.makeCitation(cited, match[0]));
      done = match.index + match[0].length;
    }
    return [...parts, text.slice(done)];
  }

  makeCitation(citation, text = `${citation.number ? `[${citation.number}] ` : ""}${citation.label}`) {
    const button = make("button", { type: "button", textContent: text, title: `Play ${citation.label}` });
    button.addEventListener("click", () => this.onCite(citation));
    return button;
  }
}
