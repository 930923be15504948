"use strict";
// What the person says of pages: kept in the browser under the name of the run, with undo.

class Corrections {
  constructor(data) {
    this.data = data;
    this.labels = [...data.labels];
    this.choice = new Uint16Array(data.pages);  // place of the label, from 1; 0 is none yet
    this.changed = 0;
    this.confirmed = 0;
    this.counts = new Map();                    // place of a label → pages that are called so
    this.history = [];
    this.isKept = true;
    this.prefix = `pagesort:${data.run}:${data.mode}:`;
    this.buckets = new Map();
    this.read();
  }

  // Everything that the browser keeps, in 64 parts, so that a key press writes little.
  read() {
    this.buckets.clear();
    this.choice.fill(0);
    try {
      const added = JSON.parse(localStorage.getItem(`${this.prefix}labels`) || "[]");
      for (const label of added) if (!this.labels.includes(label)) this.labels.push(label);
    } catch {
      this.isKept = false;
    }
    for (let index = 0; index < this.data.pages; index += 1) {
      const key = PageSort.key(index);
      const label = this.bucket(key[0])[key];
      if (label !== undefined) this.choice[index] = this.place(label) + 1;
    }
    this.count();
  }

  bucket(name) {
    if (!this.buckets.has(name)) {
      let entries = {};
      try {
        entries = JSON.parse(localStorage.getItem(this.prefix + name) || "{}");
      } catch {
        this.isKept = false;
      }
      this.buckets.set(name, Object.assign(Object.create(null), entries));
    }
    return this.buckets.get(name);
  }

  count() {
    this.counts.clear();
    this.changed = 0;
    this.confirmed = 0;
    for (let index = 0; index < this.data.pages; index += 1) this.tally(index, 1);
  }

  tally(index, sign) {
    const label = this.label(index);
    if (label !== PageSort.NONE) this.counts.set(label, (this.counts.get(label) || 0) + sign);
    const state = this.state(index);
    if (state === "changed") this.changed += sign;
    if (state === "confirmed") this.confirmed += sign;
  }

  // The place of a label; a new one is added.
  place(label) {
    const known = this.labels.indexOf(label);
    if (known >= 0) return known;
    this.labels.push(label);
    this.keep("labels", JSON.stringify(this.labels.slice(this.data.labels.length)));
    return this.labels.length - 1;
  }

  // What a page is called now: the place of a label, or NONE.
  label(index) {
    return this.choice[index] ? this.choice[index] - 1 : this.data.label[index];
  }

  // open, confirmed, or changed
  state(index) {
    if (!this.choice[index]) return "open";
    return this.choice[index] - 1 === this.data.label[index] ? "confirmed" : "changed";
  }

  // Call one page, or many, by a label's place; null takes back what was said of them.
  set(entries) {
    const before = entries.map(([index]) => [index, this.choice[index] || null]);
    this.history.push(before.map(([index, choice]) => [index, choice === null ? null : choice - 1]));
    this.write(entries);
  }

  undo() {
    const before = this.history.pop();
    if (before) this.write(before);
    return before;
  }

  write(entries) {
    const touched = new Set();
    for (const [index, place] of entries) {
      this.tally(index, -1);
      this.choice[index] = place === null ? 0 : place + 1;
      this.tally(index, 1);
      const key = PageSort.key(index);
      if (place === null) delete this.bucket(key[0])[key];
      else this.bucket(key[0])[key] = this.labels[place];
      touched.add(key[0]);
    }
    for (const name of touched) this.keep(name, JSON.stringify(this.bucket(name)));
  }

  keep(name, text) {
    try {
      localStorage.setItem(this.prefix + name, text);
    } catch {
      this.isKept = false;
    }
  }
}
