"use strict";
// What a page looks like in the sheet. All text goes in as text, never as markup.

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}

function percent(thousandths) {
  return thousandths === PageSort.NONE ? "" : `${(thousandths / 10).toFixed(1)} %`;
}

const Cards = (() => {
  const STATES = { changed: "corrected", confirmed: "found right", open: "" };
  const GOLDEN = 137.5;  // degrees: neighbouring items never have like colours

  function nameOf(page) {
    return page.page ? `${page.file} · ${page.page}` : page.file;
  }

  // What the model, or a folder, said of the page, in a few words.
  function facts(data, page, index) {
    const score = percent(data.score[index]);
    if (data.mode === "audit") return "";
    if (page.problem && !page.guess) return page.problem;
    if (data.mode === "suspects") return `looks like ${page.guess} ${score}`;
    const second = page.second ? `or ${page.second} ${percent(Math.round(1000 * page.secondScore))}` : "";
    return second;
  }

  function card(data, corrections, page, index, position) {
    const item = element("li", { class: "card", tabindex: "-1", "data-position": position });
    const picture = page.small
      ? element("img", { src: page.small, alt: "", loading: "lazy", decoding: "async" })
      : element("span", { class: "no-picture" }, page.problem || "no picture");
    item.append(
      element("div", { class: "picture" }, picture),
      element("div", { class: "said" }, menu(corrections), element("span", { class: "score" })),
      element("div", { class: "second" }, facts(data, page, index)),
      page.other ? element("div", { class: "other" }, `another model: ${page.other}`) : "",
      element("div", { class: "name", title: page.path }, nameOf(page)),
      page.note ? element("div", { class: "note" }, page.note) : "",
    );
    if (data.group && data.group[index]) {
      item.classList.add("grouped");
      item.style.setProperty("--hue", hue(data.group[index]));
      if (!page.runs.length) item.append(element("div", { class: "group" }, `item ${data.group[index]}`));
    }
    if (page.trueItem) {
      item.classList.add("known");
      item.style.setProperty("--true-hue", hue(page.trueGroup));
    }
    if (page.runs.length) item.querySelector(".picture").after(bands(data, page));
    else if (page.trueItem) item.append(element("div", { class: "true-item" }, `really ${page.trueItem}`));
    mark(item, data, corrections, page, index);
    return item;
  }

  function hue(number) {
    return String((number * GOLDEN) % 360);
  }

  // A band of colour for each run, and last the true item where it is known.
  function bands(data, page) {
    const MARKS = { wrong: "✗", unsure: "?", "": "" };
    const TOLD = { wrong: ", wrong here", unsure: ", unsure here", "": "" };
    const list = element("ul", { class: "runs", "aria-label": "Items of each run" });
    const add = (name, item, number, mark) => {
      const said = item || "not in it";
      const band = element("li", { class: item ? "run" : "run without", title: `${name}: ${said}${TOLD[mark]}` },
        element("span", { class: "run-name" }, name), element("span", { class: "run-item" }, said),
        mark ? element("span", { class: "mark", "aria-label": TOLD[mark].slice(2) }, MARKS[mark]) : "");
      if (item) band.style.setProperty("--run-hue", hue(number));
      if (mark) band.dataset.mark = mark;
      list.append(band);
    };
    page.runs.forEach(([item, number, mark], place) => add(data.runs[place][0], item, number, mark));
    if (page.trueItem) add("really", page.trueItem, page.trueGroup, "");
    return list;
  }

  // Its further labels come when somebody reaches for it: there can be a thousand.
  function menu(corrections) {
    const select = element("select", { class: "label", tabindex: "-1", "aria-label": "Category" });
    const fill = () => {
      const chosen = select.value;
      select.replaceChildren(...corrections.labels.map((label, place) =>
        element("option", { value: place }, label)));
      if (chosen === "") select.prepend(element("option", { value: "" }, "?"));
      select.value = chosen;
    };
    select.addEventListener("pointerdown", fill, { once: true });
    select.addEventListener("focus", fill, { once: true });
    return select;
  }

  function choose(select, value, text) {
    if (![...select.options].some((option) => option.value === value)) {
      select.append(element("option", { value }, text));
    }
    select.value = value;
  }

  // Show what is said of a page now.
  function mark(item, data, corrections, page, index) {
    const state = corrections.state(index);
    const label = corrections.label(index);
    const select = item.querySelector("select");
    if (label === PageSort.NONE) choose(select, "", "?");
    else choose(select, String(label), corrections.labels[label]);
    item.dataset.state = state;
    const guess = data.label[index] === PageSort.NONE ? "" : data.labels[data.label[index]];
    const score = data.mode === "review" || data.mode === "groups" ? percent(data.score[index]) : "";
    const was = state === "changed" && guess ? `was ${guess}` : "";
    item.querySelector(".score").textContent = state === "confirmed" ? `✓ ${score}` : was || score;
    const name = label === PageSort.NONE ? "no category" : corrections.labels[label];
    const parts = [nameOf(page), name, STATES[state], score, facts(data, page, index), page.note];
    item.setAttribute("aria-label", parts.filter(Boolean).join(", "));
  }

  return { card, mark, nameOf, facts };
})();
