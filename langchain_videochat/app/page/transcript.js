"use strict";

/* All observations as text, in time order. */

/* Return a text without case, accents and the vowel points of Arabic and Hebrew, to compare it. */
function fold(text) {
  const decomposed = text.normalize("NFKD").toLowerCase();
  return decomposed.replace(/(?<=[\p{sc=Latin}\p{sc=Greek}\p{sc=Arabic}\p{sc=Hebrew}])\p{M}+/gu, "").normalize("NFC");
}

class Transcript {
  constructor(element, { onSeek }) {
    this.element = element;
    this.onSeek = onSeek;
    this.rows = [];
  }

  show({ lanes }) {
    const all = lanes.flatMap((lane) => lane.bars.map(([start, end, , text]) => ({ start, end, text, label: lane.label })));
    all.sort((one, other) => one.start - other.start);
    this.rows = all.map((one) => ({ ...one, folded: fold(one.text), item: this.makeRow(one) }));
    this.element.replaceChildren(make("ol", {}, ...this.rows.map((row) => row.item)));
  }

  makeRow({ start, end, text, label }) {
    const interval = `${formatTimecode(start)}–${formatTimecode(end)}`;
    const times = make("button", { type: "button", className: "time", textContent: interval });
    times.addEventListener("click", () => this.onSeek(start));
    return make("li", {}, times, make("span", { className: "quiet", textContent: label }), make("span", { textContent: text }));
  }

  /* Show only rows that contain all words of a query, and return their intervals. */
  filter(query) {
    const words = fold(query).split(/\s+/).filter(Boolean);
    const found = [];
    for (const row of this.rows) {
      row.item.hidden = !words.every((word) => row.folded.includes(word));
      if (words.length && !row.item.hidden) found.push({ start: row.start, end: row.end });
    }
    return found;
  }
}
