"use strict";

/* Search for moments: the hits are listed and marked on the lanes. */

class Search {
  /* `onHits(hits)` is called with the hits to mark, `onSelect(hit)` when one is clicked. `scope()` returns the id of the
     video to search, or "" for all videos. */
  constructor({ onHits, onSelect, scope }) {
    Object.assign(this, { onHits, onSelect, scope });
    this.form = document.getElementById("search");
    this.query = document.getElementById("query");
    this.element = document.getElementById("hits");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.run();
    });
    // The clear button of a search field sends this event.
    this.query.addEventListener("search", () => this.query.value || this.show("", []));
  }

  async run() {
    const query = this.query.value.trim();
    if (!query) return this.show("", []);
    this.pending = query;
    this.showMessage("Searching…");
    try {
      const hits = await fetchJson(`api/search?${new URLSearchParams({ query, video_id: this.scope() })}`);
      if (this.pending === query) this.show(query, hits);
    } catch (error) {
      this.showMessage(error.message, "bad");
    }
  }

  show(query, hits) {
    sessionStorage.setItem("query", query);
    this.onHits(hits);
    if (!query) this.element.hidden = true;
    else if (!hits.length) this.showMessage("Nothing found.");
    else this.element.replaceChildren(make("ol", {}, ...hits.map((hit) => this.makeHit(hit))));
  }

  showMessage(text, kind = "quiet") {
    this.element.hidden = false;
    this.element.replaceChildren(make("p", { role: "status", className: kind, textContent: text }));
  }

  makeHit(hit) {
    const interval = `${formatTimecode(hit.start)}–${formatTimecode(hit.end)} `;
    const times = make("span", { className: "time", textContent: interval });
    const button = make("button", { type: "button", className: "hit" }, times, hit.title, make("p", { textContent: hit.text }));
    button.addEventListener("click", () => this.onSelect(hit));
    return make("li", {}, button);
  }
}
