"use strict";

/* The page: what is chosen in one part is shown in the others. */

const banner = document.getElementById("banner");
const notice = document.getElementById("notice");
const text = document.getElementById("text");

const player = new Player(document.getElementById("player"), { onTime: (time, playing) => lanes.moveTo(time, playing) });
const lanes = new LaneView(document.getElementById("lanes"), {
  onSeek: (time) => player.seek(time),
  stillOf: (start, end) =>
    library.playable ? videoAddress(library.chosen, `still?time=${start + Math.min(1, (end - start) / 2)}`) : null,
});
const transcript = new Transcript(document.getElementById("transcript"), { onSeek: (time) => player.seek(time) });
const library = new Library({ onChoose: show, onState: tell });
const search = new Search({
  onFound: markHits,
  onChoose: (hit) => goTo(hit.video_id, () => player.seek(hit.start)),
  scope: () => (document.getElementById("scope").value === "this" ? (library.chosen ?? "") : ""),
});
const chat = new Chat({
  onCite: (cited) => goTo(cited.video_id, () => player.playStretch(cited.start, cited.end)),
  scope: () => (document.getElementById("only").checked ? (library.chosen ?? null) : null),
});

let shown = null;
let hits = [];

/* Show a video: its player at once, its lanes when they have come. */
async function show(video) {
  document.getElementById("title").textContent = video.title;
  document.title = `${video.title} – VideoChat`;
  history.replaceState(null, "", `#${video.video_id}`);
  library.playable = !video.unplayable;
  notice.textContent = [video.unplayable, video.lacking && `Not all was noticed: ${video.lacking}`].filter(Boolean).join(" ");
  player.load(video.unplayable ? null : videoAddress(video.video_id, "file"));
  try {
    const told = await askJson(videoAddress(video.video_id, "lanes"));
    if (library.chosen !== video.video_id) return;
    shown = told;
    lanes.show(told);
    markHits(hits);
    if (text.open) transcript.show(told);
  } catch (error) {
    notice.textContent = error.message;
  }
}

function goTo(id, then) {
  if (library.chosen === id) return then();
  library.choose(id);
  document.getElementById("player").addEventListener("loadedmetadata", then, { once: true });
}

function markHits(found) {
  hits = found;
  lanes.mark(hits.filter((hit) => hit.video_id === library.chosen));
}

function tell(state, problem) {
  banner.hidden = !problem;
  if (problem) return void (banner.textContent = problem);
  chat.offer(state.models);
  const wanted = library.chosen ?? location.hash.slice(1);
  const there = state.videos.find((video) => video.video_id === wanted) ?? state.videos[0];
  if (there && there.video_id !== library.chosen) library.choose(there.video_id);
}

text.addEventListener("toggle", () => text.open && shown && transcript.show(shown));
document.getElementById("player").addEventListener("error", () => {
  if (library.playable) notice.textContent = "This browser cannot play the file. Its timeline, search and answers work all the same.";
});
addEventListener("pagehide", () => sessionStorage.setItem("time", JSON.stringify([library.chosen, player.time])));

async function begin() {
  const [id, time] = JSON.parse(sessionStorage.getItem("time") ?? "[null, 0]");
  await library.refresh();
  if (id === library.chosen) player.seek(time);
  document.getElementById("query").value = sessionStorage.getItem("query") ?? "";
  if (document.getElementById("query").value) search.run();
}
begin();
