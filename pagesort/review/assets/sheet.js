"use strict";
// The sheet itself: filters, cards, the enlarged page, and what keys and buttons do.

class Sheet {
  constructor(data) {
    this.data = data;
    this.corrections = new Corrections(data);
    this.filters = { ...Selection.EVERYTHING };
    this.documents = null;      // those that the filter's text fits
    this.view = [];             // indices of the pages that are shown, in order
    this.cursor = 0;            // place in the view
    this.rows = new Map();      // place in the view → what is known of the page there
    this.drawing = 0;
    this.saved = 0;             // length of the history when corrections were last saved
    document.body.dataset.mode = data.mode;
    document.title = data.title;
    by("title").textContent = data.title;
    by("state-review").hidden = !data.flags.some((flags) => flags & PageSort.NEEDS_REVIEW);
    by("differs-field").hidden = !data.flags.some((flags) => flags & PageSort.DIFFERS);
    this.showRuns();
    new Look();
    new Files(this);
    this.connect();
    this.showHelpKeys();
    this.refresh();
    this.select();
  }

  connect() {
    by("filters").addEventListener("input", () => this.readFilters());
    by("filters").addEventListener("submit", (event) => event.preventDefault());
    by("show-all").addEventListener("click", () => this.showAll());
    by("new-label").addEventListener("submit", (event) => this.addLabel(event));
    by("undo").addEventListener("click", () => this.undo());
    by("show-help").addEventListener("click", () => by("help").showModal());
    by("cards").addEventListener("click", (event) => this.clickCard(event));
    by("cards").addEventListener("change", (event) => this.changeCard(event));
    by("cards").addEventListener("focusin", (event) => this.focusCard(event));
    for (const button of document.querySelectorAll("[data-step]")) {
      button.addEventListener("click", () => this.turn(Number(button.dataset.step)));
    }
    by("previous").addEventListener("click", () => this.go(this.cursor - 1));
    by("next").addEventListener("click", () => this.go(this.cursor + 1));
    by("zoom").addEventListener("click", () => this.zoom());
    by("close").addEventListener("click", () => by("enlarged").close());
    by("viewer").addEventListener("click", () => this.zoom());
    by("enlarged").addEventListener("close", () => this.focusCursor());
    by("enlarged-picture").addEventListener("error", () => this.pictureMissing());
    document.addEventListener("keydown", (event) => this.press(event));
    window.addEventListener("storage", (event) => {
      if (event.key && event.key.startsWith(this.corrections.prefix)) {
        this.corrections.read();
        this.refresh();
        this.draw();
      }
    });
    window.addEventListener("beforeunload", (event) => {
      const isUnsaved = this.corrections.history.length > this.saved;
      if (!this.corrections.isKept && isUnsaved) event.preventDefault();
    });
  }

  // The runs that are shown side by side, in the order of the bands of each page.
  showRuns() {
    by("runs").hidden = !this.data.runs.length;
    by("runs").replaceChildren(...this.data.runs.map(([name, about]) =>
      element("li", {}, element("strong", {}, name), ` ${about}`)));
  }

  // ---- which pages

  readFilters() {
    const share = (id) => {
      const value = by(id).valueAsNumber;
      return Number.isNaN(value) ? null : value;
    };
    const isAudit = this.data.mode === "audit";
    Object.assign(this.filters, {
      state: by("state").value,
      order: isAudit ? "sheet" : by("order").value,
      document: by("document").value.trim(),
      from: share("score-from"),
      to: share("score-to"),
      differs: by("differs").checked,
      noted: by("noted").checked,
    });
    this.select();
  }

  showAll() {
    by("filters").reset();
    this.filters.category = "all";
    this.readFilters();
  }

  async select() {
    const text = this.filters.document.toLocaleLowerCase();
    this.documents = null;
    if (text) {
      const names = await PageSort.namesOfDocuments();
      this.documents = new Set();
      names.forEach((name, place) => {
        if (name.toLocaleLowerCase().includes(text)) this.documents.add(place);
      });
    }
    this.view = Selection.select(this.data, this.corrections, this.filters, this.documents);
    this.cursor = 0;
    this.showCategories();
    await this.draw();
    window.scrollTo({ top: 0 });
  }

  // ---- drawing

  get start() {
    return Math.floor(this.cursor / Sheet.CARDS) * Sheet.CARDS;
  }

  async draw() {
    const ticket = this.drawing += 1;
    const start = this.start, end = Math.min(start + Sheet.CARDS, this.view.length);
    const shown = this.view.slice(start, end);
    let pages;
    try {
      pages = await Promise.all(shown.map((index) => PageSort.page(index)));
    } catch (error) {
      this.warn(`A part of this sheet cannot be read: ${error.message}. Is its folder complete?`);
      return;
    }
    if (ticket !== this.drawing) return;  // somebody went on meanwhile
    this.rows = new Map(pages.map((page, place) => [start + place, page]));
    const cards = [];
    let heading = null;
    pages.forEach((page, place) => {
      const text = this.heading(shown[place]);
      if (text !== heading) cards.push(element("li", { class: "category" }, text));
      heading = text;
      cards.push(Cards.card(this.data, this.corrections, page, shown[place], start + place));
    });
    by("cards").replaceChildren(...cards);
    by("nothing").hidden = this.view.length > 0;
    const sheets = Math.max(1, Math.ceil(this.view.length / Sheet.CARDS));
    const now = start / Sheet.CARDS + 1;
    by("found").textContent = counted(this.view.length, "page");
    for (const place of document.querySelectorAll(".place")) {
      place.textContent = sheets > 1 ? `${number(now)} of ${number(sheets)}` : "";
    }
    for (const button of document.querySelectorAll("[data-step]")) {
      button.disabled = now + Number(button.dataset.step) < 1 || now + Number(button.dataset.step) > sheets;
    }
    for (const steps of document.querySelectorAll(".pager .steps")) steps.hidden = sheets < 2;
    this.cardAt(this.cursor)?.setAttribute("tabindex", "0");
  }

  // Cards of one category lie together under its name, where that is their order.
  heading(index) {
    if (this.data.mode !== "review" || this.filters.order !== "sheet") return null;
    if (this.filters.category !== "all") return null;
    const label = this.data.label[index];
    if (this.data.flags[index] & PageSort.FAILED) return "Could not be read";
    return label === PageSort.NONE ? null : this.data.labels[label];
  }

  cardAt(position) {
    return by("cards").querySelector(`[data-position="${position}"]`);
  }

  // Everything that counts.
  refresh() {
    const { changed, confirmed } = this.corrections;
    const { pages, mode } = this.data;
    const done = changed + confirmed;
    by("progress").textContent = mode === "audit"
      ? `${number(done)} of ${counted(pages, "page")} have a category`
      : `${counted(pages, "page")}, ${number(changed)} corrected, ${number(confirmed)} found right`;
    by("bar").value = pages ? done / pages : 0;
    by("undo").disabled = this.corrections.history.length === 0;
    by("export").disabled = done === 0;
    if (!this.corrections.isKept) {
      this.warn("This browser keeps nothing of what you do here, or has no room left. Save your " +
        "corrections before you close this window.");
    }
    this.showCategories();
  }

  warn(text) {
    by("warning").textContent = text;
    by("warning").hidden = false;
  }

  say(text) {
    by("status").textContent = text;
    clearTimeout(this.silence);
    this.silence = setTimeout(() => { by("status").textContent = ""; }, 4000);
  }

  showCategories() {
    const entry = (value, text, count, key) => {
      const button = element("button", {
        type: "button", "aria-pressed": String(this.filters.category === value),
      }, element("span", { class: "key" }, key ? element("kbd", {}, key.toUpperCase()) : ""),
      element("span", { class: "name" }, text), element("span", { class: "count" }, number(count)));
      button.addEventListener("click", () => { this.filters.category = value; this.select(); });
      return element("li", {}, button);
    };
    const failed = this.failed ??= this.data.flags.reduce((sum, flags) => sum + (flags & PageSort.FAILED), 0);
    const { labels, counts } = this.corrections;
    const focused = document.activeElement?.closest("#categories li");
    const place = focused ? [...by("categories").children].indexOf(focused) : -1;
    const entries = [entry("all", "all", this.data.pages, "")];
    labels.forEach((label, at) => {
      entries.push(entry(at, label, counts.get(at) || 0, Keys.ofLabel(at)));
    });
    const without = this.data.pages - [...counts.values()].reduce((sum, count) => sum + count, 0);
    if (this.data.mode === "audit") entries.push(entry(PageSort.NONE, "none yet", without, ""));
    else if (failed) entries.push(entry("failed", "could not be read", failed, ""));
    by("categories").replaceChildren(...entries);
    if (place >= 0) by("categories").children[place]?.firstChild.focus();
  }

  // ---- going about

  // To a place in the view, on whichever leaf of cards it is.
  async go(position) {
    if (position < 0 || position >= this.view.length) return;
    const before = this.start;
    this.cardAt(this.cursor)?.setAttribute("tabindex", "-1");
    this.cursor = position;
    if (this.start !== before) await this.draw();
    if (by("enlarged").open) this.enlarge();
    else this.focusCursor();
  }

  focusCursor() {
    const card = this.cardAt(this.cursor);
    if (!card) return;
    card.setAttribute("tabindex", "0");
    card.focus({ preventScroll: true });
    card.scrollIntoView({ block: "nearest" });
  }

  turn(step) {
    return this.go(Math.min(this.view.length - 1, Math.max(0, this.start + step * Sheet.CARDS)));
  }

  // How many cards lie side by side.
  get across() {
    const cards = [...by("cards").querySelectorAll(".card")];
    const top = cards[0]?.offsetTop;
    const other = cards.findIndex((card) => card.offsetTop !== top);
    return other > 0 ? other : Math.max(1, cards.length);
  }

  // Up and down go to the card that lies there, past headings and short rows.
  vertical(step) {
    const here = this.cardAt(this.cursor);
    if (!here) return this.cursor;
    const cards = [...by("cards").querySelectorAll(".card")];
    const tops = [...new Set(cards.map((card) => card.offsetTop))];
    const top = tops[tops.indexOf(here.offsetTop) + step];
    if (top === undefined) {
      return step < 0 ? this.start - 1 : Math.min(this.start + Sheet.CARDS, this.view.length - 1);
    }
    const row = cards.filter((card) => card.offsetTop === top);
    const near = (card) => Math.abs(card.offsetLeft - here.offsetLeft);
    const best = row.reduce((one, other) => (near(other) < near(one) ? other : one));
    return Number(best.dataset.position);
  }

  nextOpen() {
    for (let position = this.cursor + 1; position < this.view.length; position += 1) {
      if (this.corrections.state(this.view[position]) === "open") return this.go(position);
    }
    for (let position = 0; position < this.cursor; position += 1) {
      if (this.corrections.state(this.view[position]) === "open") return this.go(position);
    }
    this.say("Every page shown here has been looked at.");
    return undefined;
  }

  // ---- what is said of pages

  assign(place, position = this.cursor, goesOn = by("go-on").checked) {
    const index = this.view[position];
    if (index === undefined) return;
    this.corrections.set([[index, place]]);
    this.marked([position]);
    const said = place === null ? "as before" : this.corrections.labels[place];
    this.say(`${Cards.nameOf(this.rows.get(position))}: ${said}`);
    if (goesOn && place !== null) this.go(position + 1);
  }

  confirm() {
    const label = this.data.label[this.view[this.cursor]];
    if (this.data.mode !== "audit" && label !== undefined && label !== PageSort.NONE) this.assign(label);
  }

  undo() {
    const before = this.corrections.undo();
    if (!before) return;
    const positions = before.map(([index]) => this.view.indexOf(index)).filter((place) => place >= 0);
    this.marked(positions);
    this.say("Taken back.");
    if (positions.length === 1) this.go(positions[0]);
  }

  marked(positions) {
    for (const position of positions) {
      const card = this.cardAt(position), page = this.rows.get(position);
      if (card && page) Cards.mark(card, this.data, this.corrections, page, this.view[position]);
    }
    this.refresh();
    if (by("enlarged").open) this.showLabels();
  }

  addLabel(event) {
    event.preventDefault();
    const name = by("new-label-name").value.trim().normalize("NFC");
    if (!name) return;
    if (/[/\\:*?"<>|\u0000-\u001f\u007f]/.test(name) || /^\.|\.$/.test(name)) {
      this.say("A category becomes the name of a folder. It cannot have / \\ : * ? \" < > | in it, " +
        "nor begin or end with a dot.");
      return;
    }
    this.corrections.place(name);
    by("new-label-name").value = "";
    this.say(`${name} is a category now.`);
    this.refresh();
  }

  // ---- the enlarged page

  enlarge() {
    const page = this.rows.get(this.cursor);
    if (!page) return;
    const index = this.view[this.cursor];
    const picture = by("enlarged-picture");
    picture.hidden = !page.large;
    picture.dataset.small = page.small;
    if (page.large) picture.src = page.large;
    picture.alt = `Page ${Cards.nameOf(page)}`;
    by("enlarged-problem").hidden = !page.problem;
    by("enlarged-problem").textContent = page.problem;
    by("enlarged-name").textContent = Cards.nameOf(page);
    const score = this.data.mode === "review" ? percent(this.data.score[index]) : "";
    const guess = this.data.mode === "review" && page.guess ? `${page.guess} ${score}` : "";
    const facts = [guess, Cards.facts(this.data, page, index), page.note];
    by("enlarged-facts").textContent = facts.filter(Boolean).join(", ");
    by("enlarged-path").textContent = page.path;
    this.showLabels();
    if (!by("enlarged").open) {
      by("viewer").classList.remove("full");
      by("enlarged").showModal();
    }
    by("viewer").focus();
    by("viewer").scrollTo(0, 0);
  }

  // The page's own file is no longer there: its thumbnail is.
  pictureMissing() {
    const picture = by("enlarged-picture");
    if (!picture.dataset.small || picture.src.endsWith(picture.dataset.small)) return;
    picture.src = picture.dataset.small;
    by("enlarged-problem").hidden = false;
    by("enlarged-problem").textContent = "The file of this page is not there any more. This is its small picture.";
  }

  showLabels() {
    const now = this.corrections.label(this.view[this.cursor]);
    const focused = document.activeElement?.dataset?.label;
    by("enlarged-labels").replaceChildren(...this.corrections.labels.map((label, place) => {
      const key = Keys.ofLabel(place);
      const button = element("button", {
        type: "button", "data-label": place, "aria-pressed": String(place === now),
      }, key ? element("kbd", {}, key.toUpperCase()) : "", element("span", {}, label));
      button.addEventListener("click", () => this.assign(place));
      return element("li", {}, button);
    }));
    if (focused) by("enlarged-labels").querySelector(`[data-label="${focused}"]`)?.focus();
  }

  zoom() {
    by("viewer").classList.toggle("full");
  }

  // ---- keys and clicks

  clickCard(event) {
    const card = event.target.closest(".card");
    if (!card || event.target.closest("select")) return;
    this.go(Number(card.dataset.position)).then(() => this.enlarge());
  }

  changeCard(event) {
    const card = event.target.closest(".card");
    if (event.target.value === "") return;
    this.assign(Number(event.target.value), Number(card.dataset.position), false);
  }

  focusCard(event) {
    const card = event.target.closest(".card");
    if (!card) return;
    this.cardAt(this.cursor)?.setAttribute("tabindex", "-1");
    this.cursor = Number(card.dataset.position);
    card.setAttribute("tabindex", "0");
  }

  press(event) {
    const target = event.target;
    const isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName) && target.type !== "checkbox";
    if (event.key === "Escape" && isTyping) { this.focusCursor(); return; }
    if (by("help").open || isTyping || event.altKey) return;
    if (event.ctrlKey || event.metaKey) {
      if (event.key.toLowerCase() === "z") { event.preventDefault(); this.undo(); }
      return;
    }
    const isOnButton = /^(BUTTON|SUMMARY|A|INPUT)$/.test(target.tagName);
    if (isOnButton && (event.key === "Enter" || event.key === " ")) return;
    const action = this.action(event);
    if (!action) return;
    event.preventDefault();
    action();
  }

  action(event) {
    const isEnlarged = by("enlarged").open;
    const label = Keys.label(event);
    if (event.key === "?") return () => by("help").showModal();
    if (label >= 0 && label < this.corrections.labels.length) return () => this.assign(label);
    const scroll = (step) => () => by("viewer").scrollBy(0, step * 0.8 * by("viewer").clientHeight);
    return {
      ArrowLeft: () => this.go(this.cursor - 1),
      ArrowRight: () => this.go(this.cursor + 1),
      ArrowUp: isEnlarged ? scroll(-0.25) : () => this.go(this.vertical(-1)),
      ArrowDown: isEnlarged ? scroll(0.25) : () => this.go(this.vertical(1)),
      PageUp: isEnlarged ? scroll(-1) : () => this.turn(-1),
      PageDown: isEnlarged ? scroll(1) : () => this.turn(1),
      Home: () => this.go(0),
      End: () => this.go(this.view.length - 1),
      Enter: () => (isEnlarged ? by("enlarged").close() : this.enlarge()),
      " ": () => this.confirm(),
      n: () => this.nextOpen(),
      u: () => this.undo(),
      z: isEnlarged ? () => this.zoom() : null,
      "/": isEnlarged ? null : () => { by("side").open = true; by("document").focus(); },
      Delete: () => this.assign(null),
      Backspace: () => this.assign(null),
    }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  }

  showHelpKeys() {
    const rows = [["1, 2, …", "call the page by the category that has this key in the list"], ...Keys.COMMANDS];
    by("help-keys").replaceChildren(...rows.map(([keys, what, kind]) => {
      const caps = keys.split(", ").flatMap((key, place) => [place ? ", " : "", element("kbd", {}, key)]);
      return element("tr", { class: kind || null }, element("th", {}, ...caps), element("td", {}, what));
    }));
    by("help-kept").textContent = "What you say is kept in this browser, on this computer, until you " +
      "clear its data. “Save corrections” writes it into a file, which the program takes.";
  }
}

Sheet.CARDS = 120;

function by(id) {
  return document.getElementById(id);
}

function number(value) {
  return value.toLocaleString("en-GB");
}

function counted(value, noun) {
  return `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
}
