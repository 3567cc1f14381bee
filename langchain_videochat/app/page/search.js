"use strict";

/* Moments that a search finds, as a list and on the lanes. */

class Search {
  /* `onFound(hits)`: what to mark. `onChoose(hit)`: where to go. `scope()`: the id of the one video to search, or "". */
  constructor({ onFound, onChoose, scope }) {
    Object.assign(this, { onFound, onChoose, scope });
    this.form = document.getElementById("search");
    this.query = document.getElementById("query");
    this.element = document.getElementById("hits");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.run();
    });
    // The cross at the end of the field empties it.
    this.query.addEventListener("search", () => this.query.value || this.show("", []));
  }

  async run() {
    const query = this.query.value.trim();
    if (!query) return this.show("", []);
    this.asked = query;
    this.tell("Searching…");
    try {
      const hits = await askJson(`api/search?${new URLSearchParams({ query, video_id: this.scope() })}`);
      if (this.asked === query) this.show(query, hits);
    } catch (error) {
      this.tell(error.message, "bad");
    }
  }

  show(query, hits) {
    sessionStorage.setItem("query", query);
    this.onFound(hits);
    if (!query) this.element.hidden = true;
    else if (!hits.length) this.tell("Nothing found.");
    else this.element.replaceChildren(make("ol", {}, ...hits.map((hit) => this.makeHit(hit))));
  }

  tell(text, kind = "quiet") {
    this.element.hidden = false;
    this.element.replaceChildren(make("p", { role: "status", className: kind, textContent: text }));
  }

  makeHit(hit) {
    const times = make("span", { className: "time", textContent: `${clock(hit.start)}–${clock(hit.end)} ` });
    const button = make("button", { type: "button", className: "hit" }, times, hit.title, make("p", { textContent: hit.text }));
    button.addEventListener("click", () => this.onChoose(hit));
    return make("li", {}, button);
  }
}
