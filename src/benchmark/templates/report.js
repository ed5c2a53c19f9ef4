"use strict";
// What the page can do beyond being read; without it, every table, plot, still and clip is there all the same.

// ---------------------------------------------------------------- tables that sort
const collator = new Intl.Collator(undefined, { numeric: true });

function sortKey(cell) {
  const text = (cell?.dataset.v ?? cell?.textContent ?? "").trim();
  if (text === "" || text === "-") return null;
  return Number.isFinite(Number(text)) ? Number(text) : text;
}

function compareKeys(a, b) {
  return typeof a === "number" && typeof b === "number" ? a - b : collator.compare(String(a), String(b));
}

function sortRows(rows, column, direction) {
  const keyed = rows.map((row) => ({ row, key: sortKey(row.cells[column]) }));
  const sign = direction === "descending" ? -1 : 1;
  keyed.sort((a, b) => {
    // rows without a value come last in both directions
    if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
    return sign * compareKeys(a.key, b.key);
  });
  return keyed.map((entry) => entry.row);
}

// a heading goes through: best or lowest first, the other way round, as it was
function makeSortable(table) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  if (original.length < 2) return;
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  heads.forEach((head, column) => {
    const first = head.dataset.first ?? "ascending";
    const second = first === "ascending" ? "descending" : "ascending";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const next = { [first]: second, [second]: null }[head.getAttribute("aria-sort")];
      const direction = next === undefined ? first : next;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (direction) head.setAttribute("aria-sort", direction);
      body.append(...(direction ? sortRows(original, column, direction) : original));
    });
  });
}

// ---------------------------------------------------------------- values of plots
function makeTips() {
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  document.body.append(tip);
  for (const title of document.querySelectorAll("svg .dot > title")) {
    // a title would be shown a second time, and late
    title.parentNode.dataset.tip = title.textContent;
    title.remove();
  }
  const show = (event) => {
    const text = event.target.dataset?.tip;
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const left = Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 6);
    tip.style.left = `${Math.max(6, left)}px`;
    tip.style.top = `${Math.max(6, event.clientY - tip.offsetHeight - 10)}px`;
  };
  document.addEventListener("pointermove", show);
  document.addEventListener("pointerdown", show);
  document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
}

// ---------------------------------------------------------------- two clips over each other
function readClips() {
  return [...document.querySelectorAll(".clip[data-frames]")].map((element) => {
    const tracks = [...element.querySelectorAll("figure")].map((figure) => ({
      label: figure.querySelector("figcaption").textContent,
      source: figure.querySelector("video").getAttribute("src"),
    }));
    // the player takes over: what is not shown must not be decoded
    element.querySelectorAll("video").forEach((video) => { video.removeAttribute("src"); video.load(); });
    element.remove();
    const { video, fps, frames, width, height } = element.dataset;
    return { video, fps: Number(fps), frames: Number(frames), width: Number(width), height: Number(height), tracks };
  });
}

function happened(target, ...names) {
  return new Promise((resolve) => names.forEach((name) => target.addEventListener(name, resolve, { once: true })));
}

async function seek(video, time) {
  // "emptied": another clip was opened meanwhile
  while (video.readyState < 1 && !video.error) await happened(video, "loadedmetadata", "error", "emptied");
  if (video.error) return;
  video.currentTime = time;
  await happened(video, "seeked", "error", "emptied");
}

// Frames are sought one by one in both clips, never played: so they cannot drift apart, at any speed.
class Player {
  constructor(root, clips) {
    const find = (name) => root.querySelector(name);
    this.clips = clips;
    this.stage = find(".stage");
    this.videos = [find("video.left"), find("video.right")];
    this.tags = [find(".tag.first"), find(".tag.other")];
    this.choice = find("select.video");
    this.sides = [find("select.first"), find("select.other")];
    this.playButton = find(".play");
    this.scrub = find(".scrub input");
    this.split = find(".split input");
    this.speed = find(".speed select");
    this.output = find("output");
    this.problem = find(".problem");
    this.wanted = 0;
    this.opened = 0;
    this.busy = false;
    this.playing = false;
    clips.forEach((clip, index) => this.choice.add(new Option(clip.video, index)));
    this.listen(find);
    root.hidden = false;
    this.openClip();
  }

  get clip() { return this.clips[this.choice.selectedIndex]; }

  listen(find) {
    this.choice.addEventListener("change", () => this.openClip());
    this.sides.forEach((select, side) => select.addEventListener("change", () => { this.openTrack(side); this.show(this.wanted); }));
    this.playButton.addEventListener("click", () => this.setPlaying(!this.playing));
    find(".back").addEventListener("click", () => this.step(-1));
    find(".forward").addEventListener("click", () => this.step(1));
    this.scrub.addEventListener("input", () => { this.setPlaying(false); this.show(Number(this.scrub.value) - 1); });
    this.split.addEventListener("input", () => this.setSplit(Number(this.split.value)));
    const drag = (event) => {
      const box = this.stage.getBoundingClientRect();
      this.setSplit((100 * (event.clientX - box.left)) / box.width);
    };
    this.stage.addEventListener("pointerdown", (event) => { this.stage.setPointerCapture(event.pointerId); drag(event); });
    this.stage.addEventListener("pointermove", (event) => { if (this.stage.hasPointerCapture(event.pointerId)) drag(event); });
  }

  openClip() {
    const { tracks, width, height, frames } = this.clip;
    this.stage.style.aspectRatio = `${width} / ${height}`;
    // as large as the window allows; small clips are not blown up beyond all measure
    this.stage.style.maxWidth = `min(78vh * ${width / height}, ${Math.max(480, 4 * width)}px)`;
    // the same methods as before; at first the first method beside the target, or beside the next one
    const before = this.sides.map((select) => select.value);
    const first = tracks.length > 2 ? 1 : 0;
    this.sides.forEach((select, side) => {
      select.replaceChildren(...tracks.map((track) => new Option(track.label, track.label)));
      const kept = tracks.findIndex((track) => track.label === before[side]);
      select.selectedIndex = kept >= 0 ? kept : [first, Math.min(first + 1, tracks.length - 1)][side];
      this.openTrack(side);
    });
    this.scrub.max = frames;
    this.show(Math.min(this.wanted, frames - 1));
  }

  openTrack(side) {
    const track = this.clip.tracks[this.sides[side].selectedIndex];
    this.tags[side].textContent = track.label;
    this.tags[side].title = track.label;
    this.videos[side].setAttribute("aria-label", track.label);
    this.videos[side].src = track.source;
    this.opened += 1;
  }

  setSplit(percent) {
    const value = Math.min(100, Math.max(0, percent));
    this.split.value = value;
    this.stage.style.setProperty("--split", `${value}%`);
  }

  step(by) {
    this.setPlaying(false);
    this.show(this.wanted + by);
  }

  async show(frame) {
    const { frames } = this.clip;
    this.wanted = (frame + frames) % frames;
    this.scrub.value = this.wanted + 1;
    this.output.textContent = `frame ${this.wanted + 1} / ${frames}`;
    if (this.busy) return;
    this.busy = true;
    // whatever is asked for meanwhile is sought next; what was asked for in between is left out
    let done = {};
    while (done.frame !== this.wanted || done.opened !== this.opened) {
      done = { frame: this.wanted, opened: this.opened };
      const time = (done.frame + 0.5) / this.clip.fps;
      await Promise.all(this.videos.map((video) => seek(video, time)));
    }
    this.busy = false;
    this.problem.hidden = !this.videos.some((video) => video.error);
  }

  async setPlaying(playing) {
    if (playing === this.playing) return;
    this.playing = playing;
    this.playButton.textContent = playing ? "Pause" : "Play";
    while (this.playing) {
      const start = performance.now();
      await this.show(this.wanted + 1);
      const left = 1000 / (this.clip.fps * Number(this.speed.value)) - (performance.now() - start);
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, left)));
    }
  }
}

document.querySelectorAll("table.sortable").forEach(makeSortable);
makeTips();
const root = document.querySelector(".player");
if (root) new Player(root, readClips());
