"use strict";

/* The list of videos, and those that are on their way into it. */

const BUSY = 1000;
const IDLE = 10000;

class Library {
  /* `onChoose(video)`: called with the video that is to be shown. `onState(state, problem)`: with what the server tells. */
  constructor({ onChoose, onState }) {
    this.onChoose = onChoose;
    this.onState = onState;
    this.videos = [];
    this.sending = new Map();
    this.sent = 0;
    this.dismissed = new Set();
    this.mine = new Set();
    this.list = document.getElementById("videos");
    this.jobList = document.getElementById("jobs");
    const files = document.getElementById("files");
    document.getElementById("open").addEventListener("click", () => files.click());
    files.addEventListener("change", () => {
      this.upload([...files.files]);
      files.value = "";
    });
    this.acceptDrops();
    addEventListener("focus", () => this.refresh());
  }

  acceptDrops() {
    const mark = (on) => document.body.classList.toggle("dropping", on);
    addEventListener("dragover", (event) => {
      event.preventDefault();
      mark(true);
    });
    addEventListener("dragleave", (event) => event.relatedTarget || mark(false));
    addEventListener("drop", (event) => {
      event.preventDefault();
      mark(false);
      this.upload([...event.dataTransfer.files]);
    });
  }

  async refresh() {
    clearTimeout(this.timer);
    let wait = BUSY;
    try {
      const state = await askJson("api/state");
      this.state = state;
      this.show(state);
      this.onState(state, null);
      if (state.jobs.every(({ status }) => status === "done" || status === "failed")) wait = IDLE;
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
    this.markChosen();
    this.showJobs(jobs);
    for (const job of jobs) {
      if (job.status === "done" && this.mine.delete(job.number)) this.choose(job.video_id);
    }
  }

  showJobs(jobs = this.state?.jobs ?? []) {
    const open = [...this.sending.values(), ...jobs].filter((job) => job.status !== "done");
    const shown = open.filter((job) => !this.dismissed.has(job.number));
    // What has not changed keeps the focus.
    const told = JSON.stringify(shown);
    if (told === this.shownJobs) return;
    this.shownJobs = told;
    this.jobList.replaceChildren(...shown.map((job) => this.makeJob(job)));
  }

  makeEntry(video) {
    const picture = make("img", { alt: "", loading: "lazy" });
    if (!video.unplayable) picture.src = videoAddress(video.video_id, "still?time=1");
    const about = make("span", { className: "quiet", textContent: `${clock(video.duration)}, ${video.observations} noted` });
    const title = make("span", { className: "title", textContent: video.title });
    const choose = make("button", { type: "button", title: video.title }, picture, make("span", {}, title, about));
    choose.dataset.id = video.video_id;
    choose.addEventListener("click", () => this.choose(video.video_id));
    const remove = make("button", { type: "button", className: "remove", textContent: "×", ariaLabel: `Remove ${video.title}` });
    remove.addEventListener("click", () => this.remove(video));
    return make("li", { className: "video" }, choose, remove);
  }

  makeJob({ number, name, status, step, share, error }) {
    const item = make("li", { className: "job" }, make("div", { textContent: name }));
    if (status !== "failed") {
      const words = make("span", { className: "quiet", textContent: step || "waiting" });
      item.append(make("progress", { value: share, ariaLabel: name }), words);
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

  choose(id) {
    const video = this.videos.find((one) => one.video_id === id);
    if (!video) return;
    this.chosen = id;
    this.markChosen();
    this.onChoose(video);
  }

  markChosen() {
    for (const button of this.list.querySelectorAll("[data-id]")) {
      button.setAttribute("aria-current", button.dataset.id === this.chosen);
    }
  }

  async remove(video) {
    if (!confirm(`Remove “${video.title}” from the list? Its file stays, unless it was sent to this page.`)) return;
    try {
      await ask(`api/videos/${encodeURIComponent(video.video_id)}`, { method: "DELETE" });
    } catch (error) {
      this.onState(null, error.message);
    }
    await this.refresh();
  }

  async upload(files) {
    for (const file of files) await this.uploadOne(file);
  }

  async uploadOne(file) {
    const job = { number: `sending ${++this.sent}`, name: file.name, status: "running", step: "sending", share: 0 };
    this.sending.set(job.number, job);
    const limit = this.state?.max_upload ?? Infinity;
    try {
      if (file.size > limit) throw new Error(`It is larger than ${Math.round(limit / 1e6)} MB, the most that is taken.`);
      const told = await send(`api/uploads/${encodeURIComponent(file.name)}`, file, (share) => {
        job.share = share;
        this.showJobs();
      });
      this.mine.add(told.number);
      this.sending.delete(job.number);
    } catch (error) {
      Object.assign(job, { status: "failed", error: error.message });
    }
    await this.refresh();
  }
}
