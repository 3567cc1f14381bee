"use strict";

/* The video, of which stretches can be played. */

class Player {
  constructor(video, { onTime }) {
    this.video = video;
    this.end = null;
    // Between two events of "timeupdate" lies a quarter of a second: too coarse for an end, and for a smooth playhead.
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
    // Who moves on by hand wants to see what comes.
    video.addEventListener("seeking", () => {
      if (this.end !== null && !(this.start <= video.currentTime && video.currentTime < this.end)) this.end = null;
    });
  }

  load(address) {
    this.end = null;
    if (address) this.video.src = address;
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

  playStretch(start, end) {
    this.video.currentTime = start;
    [this.start, this.end] = [start, end];
    this.video.play().catch(() => {}); // what cannot be played is told by the video's error event
  }
}
