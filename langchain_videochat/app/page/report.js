"use strict";

/* One video with all that was noticed in it, without a server. */

const told = JSON.parse(document.getElementById("data").textContent);
const stills = new Map(told.stills);
const query = document.getElementById("query");
const notice = document.getElementById("notice");

const player = new Player(document.getElementById("player"), { onTime: (time, playing) => lanes.moveTo(time, playing) });
const lanes = new LaneView(document.getElementById("lanes"), {
  onSeek: (time) => player.seek(time),
  stillOf: (start) => stills.get(start),
});
const transcript = new Transcript(document.getElementById("transcript"), { onSeek: (time) => player.seek(time) });

function find() {
  const hits = transcript.filter(query.value);
  lanes.mark(hits);
  notice.textContent = query.value.trim() && `${hits.length} found`;
}

function film() {
  const letters = atob(document.getElementById("film").textContent);
  const bytes = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
  return URL.createObjectURL(new Blob([bytes], { type: "video/mp4" }));
}

lanes.show(told);
transcript.show(told);
query.addEventListener("input", find);
document.getElementById("search").addEventListener("submit", (event) => event.preventDefault());
player.load(film());
