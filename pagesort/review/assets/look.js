"use strict";
// Light or dark, and how large the pictures are; kept for all sheets.

class Look {
  constructor() {
    this.themes = ["auto", "light", "dark"];
    this.show("theme", this.kept("theme") || "auto");
    this.show("size", this.kept("size") || "medium");
    by("size").value = document.documentElement.dataset.size;
    by("theme").addEventListener("click", () => {
      const place = this.themes.indexOf(document.documentElement.dataset.theme);
      this.keep("theme", this.themes[(place + 1) % this.themes.length]);
    });
    by("size").addEventListener("change", () => this.keep("size", by("size").value));
    if (window.matchMedia("(max-width: 760px)").matches) by("side").open = false;
  }

  show(what, value) {
    document.documentElement.dataset[what] = value;
    if (what === "theme") {
      by("theme").textContent = { auto: "Look: as the system", light: "Look: light", dark: "Look: dark" }[value];
    }
  }

  kept(what) {
    try {
      return localStorage.getItem(`pagesort:${what}`);
    } catch {
      return null;
    }
  }

  keep(what, value) {
    this.show(what, value);
    try {
      localStorage.setItem(`pagesort:${what}`, value);
    } catch {
      // Then it lasts as long as the window.
    }
  }
}
