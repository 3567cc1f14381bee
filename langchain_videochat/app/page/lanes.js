"use strict";

/* The swim lanes under the player. One canvas draws the visible part only: ten thousand elements would not scroll
   smoothly. Each lane is also a slider, for keyboards and screen readers. */

const ROW_HEIGHT = 20;
const LANE_GAP = 10;
const AXIS_HEIGHT = 22;
const THUMBNAIL_HEIGHT = 54;
const THUMBNAIL_WIDTH = 96;
const TICK_GAP = 80;
const TICKS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
const MIN_VISIBLE_SECONDS = 4;
const MIN_BAR_WIDTH = 2;
const MIN_TEXT_WIDTH = 28;

function formatTimecode(seconds) {
  const whole = Math.floor(seconds);
  const pad = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${pad(minutes)}:${pad(whole % 60)}`;
}

/* Return the index of the first bar that ends after a time. Ends are not sorted where bars overlap, so the search uses
   `latestEnds`, the running maximum of the ends. */
function firstAfter(lane, time) {
  let [low, high] = [0, lane.bars.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (lane.latestEnds[middle] > time) high = middle;
    else low = middle + 1;
  }
  return low;
}

class LaneView {
  /* `onSeek(time)` is called when a bar or a time is clicked. `thumbnailUrl(start, end)` returns the URL of a scene's
     thumbnail, if it has one. */
  constructor(element, { onSeek, thumbnailUrl }) {
    this.onSeek = onSeek;
    this.thumbnailUrl = thumbnailUrl;
    this.lanes = [];
    this.hits = [];
    this.duration = 0;
    this.time = 0;
    this.zoom = 1;
    this.thumbnails = new Map();
    this.build(element);
    new ResizeObserver(() => this.layout()).observe(this.scroller);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  build(element) {
    element.classList.add("lanes");
    const zoom = make("div", { className: "zoom" });
    const button = (text, label, factor) => {
      const made = make("button", { type: "button", textContent: text, ariaLabel: label });
      made.addEventListener("click", () => this.zoomBy(factor));
      return made;
    };
    zoom.append(button("−", "Zoom out", 0.5), button("+", "Zoom in", 2));
    this.labels = make("div", { className: "lane-labels" });
    this.scroller = make("div", { className: "lane-scroller" });
    this.stage = make("div", { className: "lane-stage" });
    this.canvas = make("canvas", { ariaHidden: "true" });
    this.playhead = make("div", { className: "playhead" });
    this.sliders = make("div");
    this.tip = make("div", { className: "tip", role: "tooltip", hidden: true });
    // The stage is as wide as the whole video, the view as the visible part.
    this.view = make("div", { className: "lane-view" }, this.canvas, this.sliders);
    this.stage.append(this.view, this.playhead);
    this.scroller.append(this.stage);
    element.replaceChildren(zoom, this.labels, this.scroller, this.tip);
    this.scroller.addEventListener("scroll", () => this.requestDraw());
    this.scroller.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    this.stage.addEventListener("pointermove", (event) => this.onHover(event));
    this.stage.addEventListener("pointerleave", () => (this.tip.hidden = true));
    this.stage.addEventListener("click", (event) => this.onClick(event));
  }

  show({ duration, lanes }) {
    this.duration = Math.max(duration, ...lanes.flatMap((lane) => lane.bars.slice(-1).map((bar) => bar[1])), 0.1);
    this.hits = [];
    this.thumbnails.clear();
    let top = AXIS_HEIGHT;
    this.lanes = lanes.map((lane) => {
      const thumbnails = lane.has_thumbnails ? THUMBNAIL_HEIGHT : 0;
      const height = thumbnails + lane.rows * ROW_HEIGHT;
      const placed = { ...lane, top, height, barTop: top + thumbnails, focused: -1, latestEnds: [] };
      let latest = 0;
      for (const bar of lane.bars) placed.latestEnds.push((latest = Math.max(latest, bar[1])));
      top += height + LANE_GAP;
      return placed;
    });
    this.height = top;
    this.labels.replaceChildren(...this.lanes.map((lane) => this.makeLabel(lane)));
    this.sliders.replaceChildren(...this.lanes.map((lane) => this.makeSlider(lane)));
    this.zoom = 1;
    this.scroller.scrollLeft = 0;
    this.layout();
  }

  makeLabel(lane) {
    const label = make("div", { textContent: lane.label });
    label.style.cssText = `top: ${lane.top}px; height: ${lane.height}px; --color: ${lane.color}`;
    return label;
  }

  makeSlider(lane) {
    const slider = make("div", { tabIndex: 0, role: "slider", ariaLabel: `${lane.label}: arrow keys move between observations` });
    slider.setAttribute("aria-valuemin", 0);
    slider.setAttribute("aria-valuemax", this.duration);
    slider.setAttribute("aria-valuenow", 0);
    slider.setAttribute("aria-valuetext", `${lane.bars.length} observations`);
    slider.style.cssText = `top: ${lane.top}px; height: ${lane.height}px`;
    slider.addEventListener("keydown", (event) => this.onKey(event, lane, slider));
    return slider;
  }

  /* Highlight intervals, for example search hits. */
  mark(hits) {
    this.hits = hits;
    this.requestDraw();
  }

  /* Move the playhead, and keep it visible while the video plays. */
  moveTo(time, playing) {
    this.time = time;
    this.playhead.style.transform = `translateX(${time * this.scale}px)`;
    const x = time * this.scale - this.scroller.scrollLeft;
    if (playing && this.zoom > 1 && (x < 0 || x > this.scroller.clientWidth)) {
      this.scroller.scrollLeft = time * this.scale - this.scroller.clientWidth / 5;
    }
  }

  reveal(time) {
    if (this.zoom > 1) this.scroller.scrollLeft = time * this.scale - this.scroller.clientWidth / 2;
  }

  zoomBy(factor, anchor = this.scroller.clientWidth / 2) {
    const time = (this.scroller.scrollLeft + anchor) / this.scale;
    const maximum = Math.max(1, this.duration / MIN_VISIBLE_SECONDS);
    this.zoom = Math.min(maximum, Math.max(1, this.zoom * factor));
    this.layout();
    this.scroller.scrollLeft = time * this.scale - anchor;
  }

  layout() {
    const width = this.scroller.clientWidth;
    if (!this.lanes.length || !width) return;
    this.scale = (width * this.zoom) / this.duration;
    this.stage.style.width = `${width * this.zoom}px`;
    this.stage.style.height = `${this.height}px`;
    this.labels.style.height = `${this.height}px`;
    this.playhead.style.height = `${this.height}px`;
    this.view.style.width = `${width}px`;
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${this.height}px`;
    this.canvas.width = Math.round(width * devicePixelRatio);
    this.canvas.height = Math.round(this.height * devicePixelRatio);
    this.moveTo(this.time, false);
    this.draw();
  }

  requestDraw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  draw() {
    if (!this.lanes.length) return;
    const context = this.canvas.getContext("2d");
    const width = this.scroller.clientWidth;
    const from = this.scroller.scrollLeft / this.scale;
    const to = from + width / this.scale;
    const style = getComputedStyle(this.scroller);
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.clearRect(0, 0, width, this.height);
    context.font = `12px ${style.fontFamily}`;
    context.textBaseline = "middle";
    this.drawHits(context, style, from, to);
    this.drawAxis(context, style, from, to);
    for (const lane of this.lanes) {
      if (lane.has_thumbnails) this.drawThumbnails(context, lane, from, to);
      this.drawBars(context, lane, from, to);
    }
  }

  drawAxis(context, style, from, to) {
    const step = TICKS.find((seconds) => seconds * this.scale >= TICK_GAP) ?? TICKS.at(-1);
    context.fillStyle = style.getPropertyValue("--quiet");
    for (let time = Math.ceil(from / step) * step; time <= to; time += step) {
      const x = (time - from) * this.scale;
      context.fillRect(x, AXIS_HEIGHT - 6, 1, 5);
      context.fillText(formatTimecode(time), x + 3, AXIS_HEIGHT / 2 - 1);
    }
  }

  drawHits(context, style, from, to) {
    for (const [rank, { start, end }] of this.hits.entries()) {
      if (end < from || start > to) continue;
      context.globalAlpha = Math.max(0.3, 1 - rank * 0.2); // the best hits stand out
      const [x, width] = [(start - from) * this.scale, Math.max(MIN_BAR_WIDTH, (end - start) * this.scale)];
      context.fillStyle = style.getPropertyValue("--hit");
      context.fillRect(x, 0, width, this.height);
      context.fillStyle = style.getPropertyValue("--hit-edge");
      context.fillRect(x, AXIS_HEIGHT - 4, width, 4);
    }
    context.globalAlpha = 1;
  }

  drawBars(context, lane, from, to) {
    const filled = new Array(lane.rows).fill(-1);
    for (let number = firstAfter(lane, from); number < lane.bars.length; number++) {
      const [start, end, row, text] = lane.bars[number];
      if (start > to) break;
      const left = Math.max(0, (start - from) * this.scale);
      const right = Math.max(left + MIN_BAR_WIDTH, (end - from) * this.scale - 1);
      // Skip bars inside a pixel that is already filled.
      if (right <= filled[row]) continue;
      filled[row] = right;
      const top = lane.barTop + row * ROW_HEIGHT;
      context.fillStyle = lane.color;
      context.fillRect(left, top, right - left, ROW_HEIGHT - 2);
      if (number === lane.focused) this.outline(context, left, top, right - left);
      if (right - left >= MIN_TEXT_WIDTH) this.write(context, text, left, top, Math.min(right, this.scroller.clientWidth) - left);
    }
  }

  outline(context, left, top, width) {
    context.strokeStyle = getComputedStyle(this.scroller).getPropertyValue("--text");
    context.lineWidth = 2;
    context.strokeRect(left + 1, top + 1, width - 2, ROW_HEIGHT - 4);
  }

  write(context, text, left, top, width) {
    context.save();
    context.beginPath();
    context.rect(left, top, width - 2, ROW_HEIGHT);
    context.clip();
    context.fillStyle = "white";
    context.fillText(text.slice(0, Math.ceil(width / 4)), left + 4, top + ROW_HEIGHT / 2 - 1);
    context.restore();
  }

  /* Draw thumbnails at the starts of their scenes, except of scenes too close to the previous thumbnail. */
  drawThumbnails(context, lane, from, to) {
    let free = -Infinity;
    const spacing = THUMBNAIL_WIDTH / this.scale;
    for (const [start, end] of lane.bars) {
      if (start > to) break;
      if (start < free) continue;
      free = start + spacing;
      // The thumbnail of the first visible scene stays visible.
      const left = Math.max((start - from) * this.scale, Math.min(0, (end - from) * this.scale - THUMBNAIL_WIDTH));
      if (left + THUMBNAIL_WIDTH < 0) continue;
      const picture = this.thumbnail(start, end);
      if (!picture.complete || !picture.naturalWidth) continue;
      const width = Math.min(THUMBNAIL_WIDTH - 4, (THUMBNAIL_HEIGHT - 4) * picture.naturalWidth / picture.naturalHeight);
      context.drawImage(picture, left, lane.top, width, width * picture.naturalHeight / picture.naturalWidth);
    }
  }

  thumbnail(start, end) {
    if (!this.thumbnails.has(start)) {
      const picture = new Image();
      picture.addEventListener("load", () => this.requestDraw());
      const url = this.thumbnailUrl(start, end);
      if (url) picture.src = url;
      this.thumbnails.set(start, picture);
    }
    return this.thumbnails.get(start);
  }

  /* Return the time under the pointer, and the lane and the bar if there are any. */
  hitTest(event) {
    const box = this.stage.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const time = Math.min(this.duration, Math.max(0, x / this.scale));
    const lane = this.lanes.find((one) => y >= one.barTop && y < one.top + one.height);
    if (!lane) return { time };
    const row = Math.floor((y - lane.barTop) / ROW_HEIGHT);
    const slack = MIN_BAR_WIDTH / this.scale;
    let found = -1;
    for (let number = firstAfter(lane, time - slack); number < lane.bars.length; number++) {
      const bar = lane.bars[number];
      if (bar[0] > time) break;
      if (bar[2] === row && Math.max(bar[1], bar[0] + slack) >= time) found = number;
    }
    return { time, lane, bar: lane.bars[found] };
  }

  onHover(event) {
    const { bar } = this.hitTest(event);
    this.tip.hidden = !bar;
    if (!bar) return;
    this.tip.textContent = `${formatTimecode(bar[0])}–${formatTimecode(bar[1])}  ${bar[3]}`;
    const box = this.tip.parentElement.getBoundingClientRect();
    const room = box.width - this.tip.offsetWidth;
    this.tip.style.left = `${Math.max(0, Math.min(room, event.clientX - box.left + 12))}px`;
    this.tip.style.top = `${event.clientY - box.top + 18}px`;
  }

  onClick(event) {
    const { bar, time } = this.hitTest(event);
    this.onSeek(bar ? bar[0] : time);
  }

  onWheel(event) {
    if (!event.ctrlKey) return;
    event.preventDefault();
    this.zoomBy(event.deltaY < 0 ? 1.25 : 0.8, event.clientX - this.scroller.getBoundingClientRect().left);
  }

  onKey(event, lane, slider) {
    const last = lane.bars.length - 1;
    const next = { ArrowRight: lane.focused + 1, ArrowLeft: lane.focused - 1, Home: 0, End: last }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    for (const one of this.lanes) if (one !== lane) one.focused = -1;
    lane.focused = Math.max(0, Math.min(last, next));
    const [start, end, , text] = lane.bars[lane.focused];
    slider.setAttribute("aria-valuenow", start);
    slider.setAttribute("aria-valuetext", `${formatTimecode(start)} to ${formatTimecode(end)}: ${text}`);
    this.reveal(start);
    this.onSeek(start);
    this.requestDraw();
  }
}

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}
