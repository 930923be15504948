"use strict";
// What is known of the pages. The scripts under data/ call PageSort.run, .chunk and .documents; a
// page opened from the disk may run scripts beside it, but read no other files.

const PageSort = (() => {
  const NONE = 0xffff;
  const FAILED = 1, DIFFERS = 2, NOTED = 4, NEEDS_REVIEW = 8;
  const KEY_LETTERS = 10;
  const KEPT_CHUNKS = 60;
  const CELLS = [
    "file", "page", "path", "small", "large", "guess", "second", "secondScore", "other", "note",
    "problem", "trueItem", "trueGroup", "runs",
  ];
  const TYPES = {
    label: Uint16Array, score: Uint16Array, flags: Uint8Array,
    document: Uint32Array, order: Uint32Array, group: Uint32Array,
  };

  const chunks = new Map();   // number → rows; the last used ones come last
  const waiting = new Map();  // number → promise of the rows
  let documentNames = null;
  let data = null;

  function unpacked(text, Type) {
    const letters = atob(text);
    const bytes = new Uint8Array(letters.length);
    for (let i = 0; i < letters.length; i += 1) bytes[i] = letters.charCodeAt(i);
    return new Type(bytes.buffer);
  }

  // Called by data/run.js.
  function run(facts) {
    const columns = {};
    for (const [name, text] of Object.entries(facts.columns)) {
      columns[name] = unpacked(text, TYPES[name]);
    }
    data = { ...facts, ...columns };
  }

  // Called by data/pages-*.js.
  function chunk(number, rows) {
    chunks.set(number, rows);
  }

  // Called by data/documents.js.
  function documents(names) {
    documentNames = names;
  }

  function load(file) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `data/${file}`;
      script.onload = () => { script.remove(); resolve(); };
      script.onerror = () => { script.remove(); reject(new Error(`data/${file} is missing`)); };
      document.head.append(script);
    });
  }

  async function rowsOf(number) {
    if (chunks.has(number)) {
      const rows = chunks.get(number);
      chunks.delete(number);
      chunks.set(number, rows);
      return rows;
    }
    if (!waiting.has(number)) {
      const file = `pages-${String(number).padStart(5, "0")}.js`;
      waiting.set(number, load(file).then(() => {
        waiting.delete(number);
        const rows = chunks.get(number);
        while (chunks.size > KEPT_CHUNKS) chunks.delete(chunks.keys().next().value);
        return rows;
      }));
    }
    return waiting.get(number);
  }

  // One page's cells by name.
  async function page(index) {
    const rows = await rowsOf(Math.floor(index / data.chunk));
    const row = rows[index % data.chunk];
    return Object.fromEntries(CELLS.map((name, place) => [name, row[place]]));
  }

  // All pages, one after the other, without keeping them.
  async function eachPage(visit, isWanted = () => true) {
    for (let start = 0; start < data.pages; start += data.chunk) {
      const end = Math.min(start + data.chunk, data.pages);
      let any = false;
      for (let index = start; index < end && !any; index += 1) any = isWanted(index);
      if (!any) continue;
      const rows = await rowsOf(start / data.chunk);
      for (let index = start; index < end; index += 1) {
        if (!isWanted(index)) continue;
        const row = rows[index - start];
        visit(index, Object.fromEntries(CELLS.map((name, place) => [name, row[place]])));
      }
    }
  }

  async function namesOfDocuments() {
    if (documentNames === null) await load("documents.js");
    return documentNames;
  }

  function key(index) {
    return data.keys.substr(index * KEY_LETTERS, KEY_LETTERS);
  }

  return {
    NONE, FAILED, DIFFERS, NOTED, NEEDS_REVIEW,
    run, chunk, documents, page, eachPage, namesOfDocuments, key,
    get data() { return data; },
  };
})();
