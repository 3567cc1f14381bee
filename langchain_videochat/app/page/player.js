"use strict";

/* The video player, which can also play an interval and stop at its end.

Times count from the first picture or sound, as in other players. If the timestamps of a file begin late, browsers count
from their zero: the video element's time is then ahead by `origin`. */

class Player {
  constructor(video, { onTime }) {
    this.video = video;
    this.end = null;
    this.origin = null; // unknown until the first frame is loaded: "currentTime" may still be 0
    this.pending = null;
    video.addEventListener("loadeddata", () => {
      this.origin = video.currentTime;
      if (this.pending !== null) this.time = this.pending;
      this.pending = null;
    });
    // "timeupdate" events are 250 ms apart: too coarse to stop at an end, and for a smooth playhead.
    const follow = () => {
      if (this.end !== null && this.time >= this.end) {
        this.end = null;
        video.pause();
      }
      onTime(this.time, !video.paused);
      if (!video.paused) requestAnimationFrame(follow);
    };
    video.addEventListener("play", follow);
    video.addEventListener("seeked", follow);
    video.addEventListener("timeupdate", () => document.hidden && follow());
    // Seeking out of the interval cancels its end.
    video.addEventListener("seeking", () => {
      if (this.end !== null && !(this.start <= this.time && this.time < this.end)) this.end = null;
    });
  }

  load(url) {
    this.end = this.pending = this.origin = null;
    if (url) this.video.src = url;
    else this.video.removeAttribute("src");
    this.video.load();
  }

  get time() {
    return this.pending ?? this.video.currentTime - this.origin;
  }

  set time(time) {
    if (this.origin === null) this.pending = time;
    else this.video.currentTime = time + this.origin;
  }

  seek(time) {
    this.end = null;
    this.time = time;
  }

  playInterval(start, end) {
    this.time = start;
    [this.start, this.end] = [start, end];
    this.video.play().catch(() => {}); // the video's "error" event reports what cannot be played
  }
}
