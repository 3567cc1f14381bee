"use strict";

/* The video player, which can also play an interval and stop at its end. */

class Player {
  constructor(video, { onTime }) {
    this.video = video;
    this.end = null;
    // "timeupdate" events are 250 ms apart: too coarse to stop at an end, and for a smooth playhead.
    const follow = () => {
      if (this.end !== null && video.currentTime >= this.end) {
        this.end = null;
        video.pause();
      }
      onTime(video.currentTime, !video.paused);
      if (!video.paused) requestAnimationFrame(follow);
    };
    video.addEventListener("play", follow);
    video.addEventListener("seeked", follow);
    video.addEventListener("timeupdate", () => document.hidden && follow());
    // Seeking out of the interval cancels its end.
    video.addEventListener("seeking", () => {
      if (this.end !== null && !(this.start <= video.currentTime && video.currentTime < this.end)) this.end = null;
    });
  }

  load(url) {
    this.end = null;
    if (url) this.video.src = url;
    else this.video.removeAttribute("src");
    this.video.load();
  }

  get time() {
    return this.video.currentTime;
  }

  seek(time) {
    this.end = null;
    this.video.currentTime = time;
  }

  playInterval(start, end) {
    this.video.currentTime = start;
    [this.start, this.end] = [start, end];
    this.video.play().catch(() => {}); // the video's "error" event reports what cannot be played
  }
}
