"use strict";

/* A report: one video with its timeline, without a server. */

const timeline = JSON.parse(document.getElementById("data").textContent);
const thumbnails = new Map(timeline.thumbnails);
const query = document.getElementById("query");
const notice = document.getElementById("notice");

const player = new Player(document.getElementById("player"), { onTime: (time, playing) => lanes.moveTo(time, playing) });
const lanes = new LaneView(document.getElementById("lanes"), {
  onSeek: (time) => player.seek(time),
  thumbnailUrl: (start) => thumbnails.get(start),
});
const transcript = new Transcript(document.getElementById("transcript"), { onSeek: (time) => player.seek(time) });

function search() {
  const hits = transcript.filter(query.value);
  lanes.mark(hits);
  notice.textContent = query.value.trim() && `${hits.length} found`;
}

function previewUrl() {
  const binary = atob(document.getElementById("preview").textContent);
  const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
  return URL.createObjectURL(new Blob([bytes], { type: "video/mp4" }));
}

lanes.show(timeline);
transcript.show(timeline);
query.addEventListener("input", search);
document.getElementById("search").addEventListener("submit", (event) => event.preventDefault());
player.load(previewUrl());
