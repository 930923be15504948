"use strict";
// Corrections into files and back again.

class Files {
  constructor(sheet) {
    this.sheet = sheet;
    by("export").addEventListener("click", () => this.save(false));
    by("export-all").addEventListener("click", () => this.save(true));
    by("import").addEventListener("click", () => by("import-file").click());
    by("import-file").addEventListener("change", () => this.open());
  }

  async save(isWhole) {
    const { data, corrections } = this.sheet;
    const left = data.pages - corrections.changed - corrections.confirmed;
    if (data.mode === "audit" && left > 0 &&
        !window.confirm(`${counted(left, "page")} without a category. Save all the same?`)) return;
    const given = data.mode === "suspects" ? ["GIVEN"] : [];
    const header = ["FILE", "PAGE", "CLASS", "GUESS", "SCORE", ...given, "FOLDER", "PATH"];
    const parts = [Csv.start(data.form) + Csv.write([header], data.form)];
    let rows = [], saved = 0;
    // Out of the memory of scripts piece by piece, as a table may have a million rows.
    const putAway = () => {
      parts.push(new Blob([Csv.write(rows, data.form)]));
      saved += rows.length;
      rows = [];
    };
    await PageSort.eachPage((index, page) => {
      const label = corrections.label(index);
      const score = data.score[index] === PageSort.NONE ? "" : data.score[index] / 1000;
      const own = given.length ? [data.labels[data.label[index]] ?? ""] : [];
      rows.push([page.file, page.page, label === PageSort.NONE ? "" : corrections.labels[label],
        page.guess, score, ...own, data.folder, page.path]);
      if (rows.length === Files.ROWS) putAway();
    }, (index) => (isWhole ? corrections.label(index) !== PageSort.NONE : corrections.choice[index] > 0));
    putAway();
    const blob = new Blob(parts, { type: "text/csv;charset=utf-8" });
    const link = element("a", {
      href: URL.createObjectURL(blob), download: `${isWhole ? "corrected" : "corrections"}_${data.run}.csv`,
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    this.sheet.saved = corrections.history.length;
    this.sheet.say(`${counted(saved, "row")} saved.`);
  }

  async open() {
    const [file] = by("import-file").files;
    by("import-file").value = "";
    if (!file) return;
    const rows = Csv.read(await file.text());
    if (!rows.length || !("CLASS" in rows[0]) || !("PATH" in rows[0] || "FILE" in rows[0])) {
      this.sheet.warn(`${file.name} is no table of corrections: it has no columns CLASS and PATH.`);
      return;
    }
    const name = (row) => ("PATH" in row ? row.PATH : row.FILE) + "\0" + String(Number(row.PAGE) || row.PAGE);
    const wanted = new Map(rows.filter((row) => row.CLASS.trim()).map((row) => [name(row), row.CLASS.trim()]));
    const { corrections } = this.sheet;
    const entries = [];
    await PageSort.eachPage((index, page) => {
      const row = "PATH" in rows[0] ? { PATH: page.path, PAGE: page.page } : { FILE: page.file, PAGE: page.page };
      const label = wanted.get(name(row));
      if (label !== undefined) entries.push([index, corrections.place(label)]);
    });
    corrections.set(entries);
    this.sheet.saved = corrections.history.length;
    this.sheet.refresh();
    await this.sheet.draw();
    const lost = wanted.size - entries.length;
    this.sheet.say(`${counted(entries.length, "page")} taken over from ${file.name}` +
      (lost ? `; ${number(lost)} are not in this sheet.` : "."));
  }
}

Files.ROWS = 5000;
