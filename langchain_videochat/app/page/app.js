"use strict";

/* Connects the parts of the page: the selected video, the time and the search hits are shared by all. */

const banner = document.getElementById("banner");
const notice = document.getElementById("notice");
const similar = document.getElementById("similar");
const text = document.getElementById("text");
const video = document.getElementById("player");

const player = new Player(video, { onTime: (time, playing) => lanes.moveTo(time, playing) });
const lanes = new LaneView(document.getElementById("lanes"), {
  onSeek: (time) => player.seek(time),
  thumbnailUrl: (start, end) =>
    library.playable ? videoUrl(library.selected, `thumbnail?time=${start + Math.min(1, (end - start) / 2)}`) : null,
});
const transcript = new Transcript(document.getElementById("transcript"), { onSeek: (time) => player.seek(time) });
const library = new Library({ onSelect: showVideo, onState: showState, onPicture: (file) => search.findPicture(file) });
const search = new Search({
  onHits: markHits,
  onSelect: (hit) => selectThen(hit.video_id, () => player.seek(hit.start)),
  scope: () => (document.getElementById("scope").value === "this" ? (library.selected ?? "") : ""),
});
const chat = new Chat({
  onCitation: (cited) => selectThen(cited.video_id, () => player.playInterval(cited.start, cited.end)),
  scope: () => (document.getElementById("only").checked ? (library.selected ?? null) : null),
});

let timeline = null;
let hits = [];

/* Show a video: the player at once, the lanes when they are loaded. */
async function showVideo({ video_id: id, title, unplayable, damage, failures }) {
  document.getElementById("title").textContent = title;
  document.title = `${title} – VideoChat`;
  history.replaceState(null, "", `#${id}`);
  library.playable = !unplayable;
  similar.hidden = true;
  const problems = [damage && `The file is damaged: ${damage}.`, failures && `The timeline is incomplete: ${failures}`];
  notice.textContent = [unplayable, ...problems].filter(Boolean).join(" ");
  player.load(unplayable ? null : videoUrl(id, "file"));
  try {
    const loaded = await fetchJson(videoUrl(id, "lanes"));
    if (library.selected !== id) return;
    timeline = loaded;
    lanes.show(timeline);
    similar.hidden = unplayable || !timeline.has_frames;
    markHits(hits);
    if (text.open) transcript.show(timeline);
  } catch (error) {
    notice.textContent = error.message;
  }
}

function selectThen(id, action) {
  if (library.selected === id) return action();
  library.select(id);
  video.addEventListener("loadedmetadata", action, { once: true });
}

function markHits(found) {
  hits = found;
  lanes.mark(hits.filter((hit) => hit.video_id === library.selected));
}

function showState(state, problem) {
  banner.hidden = !problem;
  if (problem) return void (banner.textContent = problem);
  chat.setModels(state.models);
  const wanted = library.selected ?? location.hash.slice(1);
  const found = state.videos.find((one) => one.video_id === wanted) ?? state.videos[0];
  if (found && found.video_id !== library.selected) library.select(found.video_id);
}

similar.addEventListener("click", () => {
  const shown = library.videos.find((one) => one.video_id === library.selected);
  if (shown) search.findSimilar({ ...shown, time: Math.max(0, player.time) });
});
text.addEventListener("toggle", () => text.open && timeline && transcript.show(timeline));
video.addEventListener("error", () => {
  if (library.playable) notice.textContent = "This browser cannot play the file. Its timeline, search and chat still work.";
});
addEventListener("pagehide", () => sessionStorage.setItem("time", JSON.stringify([library.selected, player.time])));

async function start() {
  const [id, time] = JSON.parse(sessionStorage.getItem("time") ?? "[null, 0]");
  await library.refresh();
  if (id === library.selected) player.seek(time);
  document.getElementById("query").value = sessionStorage.getItem("query") ?? "";
  if (document.getElementById("query").value) search.run();
}
start();
