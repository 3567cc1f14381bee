"use strict";

/* The list of videos, and of uploads and indexing jobs. */

const BUSY_INTERVAL = 1000;
const IDLE_INTERVAL = 10000;

class Library {
  /* `onSelect(video)` is called with the video to show, `onState(state, problem)` with each state of the server, and
     `onPicture(file)` with a picture that was dropped. */
  constructor({ onSelect, onState, onPicture }) {
    Object.assign(this, { onSelect, onState, onPicture });
    this.videos = [];
    this.uploads = new Map();
    this.uploadCount = 0;
    this.dismissed = new Set();
    this.ownJobs = new Set();
    this.list = document.getElementById("videos");
    this.jobList = document.getElementById("jobs");
    const files = document.getElementById("files");
    document.getElementById("upload").addEventListener("click", () => files.click());
    files.addEventListener("change", () => {
      this.upload([...files.files]);
      files.value = "";
    });
    this.acceptDrops();
    addEventListener("focus", () => this.refresh());
  }

  acceptDrops() {
    const highlight = (on) => document.body.classList.toggle("dropping", on);
    addEventListener("dragover", (event) => {
      event.preventDefault();
      highlight(true);
    });
    addEventListener("dragleave", (event) => event.relatedTarget || highlight(false));
    addEventListener("drop", (event) => {
      event.preventDefault();
      highlight(false);
      const files = [...event.dataTransfer.files];
      const pictures = files.filter((file) => file.type.startsWith("image/") && file.type !== "image/gif");
      if (pictures.length) this.onPicture(pictures[0]);
      this.upload(files.filter((file) => !pictures.includes(file)));
    });
  }

  async refresh() {
    clearTimeout(this.timer);
    let wait = BUSY_INTERVAL;
    try {
      const state = await fetchJson("api/state");
      this.state = state;
      this.show(state);
      this.onState(state, null);
      if (state.jobs.every(({ status }) => status === "done" || status === "failed")) wait = IDLE_INTERVAL;
    } catch (error) {
      this.onState(null, error.message);
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.refresh(), wait);
  }

  show({ videos, jobs }) {
    const before = JSON.stringify(this.videos);
    this.videos = videos;
    if (before !== JSON.stringify(videos)) this.list.replaceChildren(...videos.map((video) => this.makeEntry(video)));
    this.markSelected();
    this.showJobs(jobs);
    for (const job of jobs) {
      if (job.status === "done" && this.ownJobs.delete(job.number)) this.select(job.video_id);
    }
  }

  showJobs(jobs = this.state?.jobs ?? []) {
    const open = [...this.uploads.values(), ...jobs].filter((job) => job.status !== "done");
    const visible = open.filter((job) => !this.dismissed.has(job.number));
    // Unchanged elements are not replaced, as they would lose the focus.
    const key = JSON.stringify(visible);
    if (key === this.jobsKey) return;
    this.jobsKey = key;
    this.jobList.replaceChildren(...visible.map((job) => this.makeJob(job)));
  }

  makeEntry(video) {
    const picture = make("img", { alt: "", loading: "lazy" });
    if (!video.unplayable) picture.src = videoUrl(video.video_id, "thumbnail?time=1");
    const count = `${video.observations} observation${video.observations === 1 ? "" : "s"}`;
    const facts = `${formatTimecode(video.duration)} · ${count}`;
    const title = make("span", { className: "title", textContent: video.title });
    const details = make("span", { className: "quiet", textContent: facts });
    const select = make("button", { type: "button", title: video.title }, picture, make("span", {}, title, details));
    select.dataset.id = video.video_id;
    select.addEventListener("click", () => this.select(video.video_id));
    const remove = make("button", { type: "button", className: "remove", textContent: "×", ariaLabel: `Remove ${video.title}` });
    remove.addEventListener("click", () => this.remove(video));
    return make("li", { className: "video" }, select, remove);
  }

  makeJob({ number, name, status, step, progress, error }) {
    const item = make("li", { className: "job" }, make("div", { textContent: name }));
    if (status !== "failed") {
      const label = make("span", { className: "quiet", textContent: step || "waiting" });
      item.append(make("progress", { value: progress, ariaLabel: name }), label);
      return item;
    }
    const close = make("button", { type: "button", textContent: "Dismiss" });
    close.addEventListener("click", () => {
      this.dismissed.add(number);
      this.showJobs();
    });
    item.append(make("p", { className: "bad", textContent: error }), close);
    return item;
  }

  select(id) {
    const video = this.videos.find((one) => one.video_id === id);
    if (!video) return;
    this.selected = id;
    this.markSelected();
    this.onSelect(video);
  }

  markSelected() {
    for (const button of this.list.querySelectorAll("[data-id]")) {
      button.setAttribute("aria-current", button.dataset.id === this.selected);
    }
  }

  async remove(video) {
    if (!confirm(`Remove “${video.title}” from the store? Its file is deleted only if it was uploaded here.`)) return;
    try {
      await request(`api/videos/${encodeURIComponent(video.video_id)}`, { method: "DELETE" });
    } catch (error) {
      this.onState(null, error.message);
    }
    await this.refresh();
  }

  async upload(files) {
    for (const file of files) await this.uploadOne(file);
  }

  async uploadOne(file) {
    const job = { number: `upload ${++this.uploadCount}`, name: file.name, status: "running", step: "uploading", progress: 0 };
    this.uploads.set(job.number, job);
    const limit = this.state?.max_upload ?? Infinity;
    try {
      if (file.size > limit) throw new Error(`The file is larger than the limit of ${Math.round(limit / 1e6)} MB.`);
      const { number } = await uploadFile(`api/uploads/${encodeURIComponent(file.name)}`, file, (progress) => {
        job.progress = progress;
        this.showJobs();
      });
      this.ownJobs.add(number);
      this.uploads.delete(job.number);
    } catch (error) {
      Object.assign(job, { status: "failed", error: error.message });
    }
    await this.refresh();
  }
}
