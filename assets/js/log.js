// SPDX-License-Identifier: Apache-2.0
// The log of a job that may still be running. The server renders lines (escaped, coloured); this
// appends them, nests the sections, and keeps the end in view while asked to.
import { refresh } from "./live.js";

export function followJob() {
  const log = document.getElementById("log");
  if (!log) return;
  const view = new LogView(log);
  view.foldButton();
  if (log.dataset.stream) view.follow(log.dataset.stream);
}

class LogView {
  constructor(log) {
    this.log = log;
    this.line = Number(log.dataset.lines) || 0;
    this.open = []; // sections that the stream is in: {name, at, box}
    const names = (log.dataset.open || "").split(" ").filter(Boolean);
    const boxes = [...log.querySelectorAll("details.sec")];
    for (const name of names) {
      const box = boxes.filter((b) => b.dataset.sec === name).pop();
      if (box) this.open.push({ name, at: Number(box.dataset.at), box });
    }
    this.wants = false;
  }

  foldButton() {
    const button = document.getElementById("log-fold");
    if (!button || !this.log.querySelector("details.sec")) return;
    button.hidden = false;
    button.addEventListener("click", () => {
      const boxes = [...this.log.querySelectorAll("details.sec")];
      const close = boxes.some((b) => b.open);
      for (const box of boxes) box.open = !close;
      button.textContent = close ? "Unfold all" : "Fold all";
    });
  }

  follow(url) {
    const button = document.getElementById("log-follow");
    const state = document.getElementById("log-live");
    const set = (on) => {
      this.wants = on;
      button.setAttribute("aria-pressed", String(on));
      if (on) this.toEnd();
    };
    button.hidden = false;
    button.addEventListener("click", () => set(!this.wants));
    // Scrolling up by hand lets go.
    addEventListener("wheel", (e) => e.deltaY < 0 && this.wants && set(false), { passive: true });
    addEventListener("keydown", (e) => ["ArrowUp", "PageUp", "Home"].includes(e.key) && this.wants && set(false));
    set(!location.hash);

    const say = (text) => {
      state.hidden = !text;
      state.textContent = text;
    };
    const stream = new EventSource(url);
    stream.onopen = () => say("live");
    stream.onerror = () => say("connecting again");
    stream.addEventListener("log", (e) => this.append(e.data));
    stream.addEventListener("reset", () => this.reset());
    let first = true;
    stream.addEventListener("state", () => {
      if (!first) refresh();
      first = false;
    });
    stream.addEventListener("end", () => {
      stream.close();
      say("");
      button.hidden = true;
      this.wants = false;
      refresh();
    });
    addEventListener("pagehide", () => stream.close());
  }

  reset() {
    this.log.replaceChildren();
    this.line = 0;
    this.open = [];
  }

  append(html) {
    document.getElementById("log-empty")?.remove();
    const parsed = new DOMParser().parseFromString(html, "text/html");
    for (const row of [...parsed.body.children]) {
      if (row.dataset.close) this.close(row.dataset);
      else if (row.dataset.open) this.section(row);
      else this.add(this.numbered(row));
    }
    if (this.wants) this.toEnd();
  }

  numbered(row) {
    this.line += 1;
    const number = document.createElement("a");
    number.className = "n";
    number.href = `#L${this.line}`;
    number.textContent = this.line;
    row.id = `L${this.line}`;
    row.prepend(number);
    return row;
  }

  add(node) {
    const top = this.open[this.open.length - 1];
    (top ? top.box : this.log).append(node);
  }

  section(row) {
    const { open: name, collapsed, at } = row.dataset;
    const box = document.createElement("details");
    box.className = "sec";
    box.dataset.sec = name;
    box.open = collapsed !== "1";
    const summary = document.createElement("summary");
    summary.className = "l";
    summary.append(...row.childNodes);
    this.numbered(summary);
    const took = document.createElement("span");
    took.className = "took";
    summary.append(took);
    box.append(summary);
    this.add(box);
    this.open.push({ name, at: Number(at), box });
    const button = document.getElementById("log-fold");
    if (button.hidden) this.foldButton();
  }

  close({ close: name, took, at }) {
    if (!this.open.some((s) => s.name === name)) return;
    let top;
    do {
      top = this.open.pop();
      const badge = top.box.querySelector(":scope > summary > .took");
      if (badge) badge.textContent = took || span(Number(at) - top.at);
    } while (top.name !== name);
  }

  toEnd() {
    const below = this.log.getBoundingClientRect().bottom - innerHeight + 24;
    if (below > 0) window.scrollBy({ top: below });
  }
}

function span(seconds) {
  const s = seconds > 0 && seconds < 360000 ? seconds : 0;
  const two = (n) => String(Math.floor(n)).padStart(2, "0");
  return s >= 3600 ? `${two(s / 3600)}:${two((s / 60) % 60)}:${two(s % 60)}` : `${two(s / 60)}:${two(s % 60)}`;
}
