"use strict";

/* Search for moments, by words or by a picture: the hits are listed and marked on the lanes. */

const MAX_PICTURE = 20e6; // bytes, as on the server

class Search {
  /* `onHits(hits)` is called with the hits to mark, `onSelect(hit)` when one is clicked. `scope()` returns the id of the
     video to search, or "" for all videos. */
  constructor({ onHits, onSelect, scope }) {
    Object.assign(this, { onHits, onSelect, scope });
    const picture = document.getElementById("picture-file");
    document.getElementById("picture").addEventListener("click", () => picture.click());
    picture.addEventListener("change", () => {
      if (picture.files.length) this.findPicture(picture.files[0]);
      picture.value = "";
    });
    this.form = document.getElementById("search");
    this.query = document.getElementById("query");
    this.element = document.getElementById("hits");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.run();
    });
    // The clear button of a search field sends this event.
    this.query.addEventListener("search", () => this.query.value || this.clear());
  }

  run() {
    const query = this.query.value.trim();
    if (!query) return this.clear();
    return this.find(query, () => fetchJson(`api/search?${new URLSearchParams({ query, video_id: this.scope() })}`));
  }

  clear() {
    this.pending = null;
    this.show("", []);
  }

  findPicture(file) {
    if (file.size > MAX_PICTURE) return this.showMessage(`The picture is larger than ${MAX_PICTURE / 1e6} MB.`, "bad");
    const url = `api/search?${new URLSearchParams({ video_id: this.scope() })}`;
    return this.find("", async () => (await request(url, { method: "POST", body: file })).json(), `Similar to ${file.name}`);
  }

  findSimilar({ video_id, title, time }) {
    const url = `api/videos/${encodeURIComponent(video_id)}/similar?${new URLSearchParams({ time, video_id: this.scope() })}`;
    return this.find("", () => fetchJson(url), `Similar to ${title} at ${formatTimecode(time)}`);
  }

  /* Show the hits that `load()` returns, unless another search has been started meanwhile. */
  async find(query, load, heading = "") {
    this.query.value = query;
    this.pending = load;
    this.showMessage("Searching…");
    try {
      const hits = await load();
      if (this.pending === load) this.show(query, hits, heading);
    } catch (error) {
      if (this.pending === load) this.showMessage(error.message, "bad");
    }
  }

  show(query, hits, heading = "") {
    sessionStorage.setItem("query", query);
    this.onHits(hits);
    if (!query && !heading) this.element.hidden = true;
    else if (!hits.length) this.showMessage("Nothing found.");
    else this.element.replaceChildren(...this.makeHeading(heading), make("ol", {}, ...hits.map((hit) => this.makeHit(hit))));
  }

  makeHeading(heading) {
    return heading ? [make("p", { className: "quiet", textContent: heading })] : [];
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
    if (!hit.has_frames) return make("li", {}, button);
    const picture = make("img", { alt: "", loading: "lazy", src: videoUrl(hit.video_id, `thumbnail?time=${hit.start}`) });
    picture.addEventListener("error", () => picture.remove()); // the file is missing or elsewhere
    button.prepend(picture);
    const similar = make("button", { type: "button", className: "similar", textContent: "More like this" });
    similar.addEventListener("click", () => this.findSimilar({ ...hit, time: hit.start }));
    return make("li", {}, button, similar);
  }
}
