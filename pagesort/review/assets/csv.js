"use strict";
// Tables as the program writes and reads them: RFC 4180, in the form that the run was written in.

const Csv = (() => {
  const BOM = "\ufeff";
  // What a spreadsheet would compute instead of showing it.
  const FORMULA = /^'*[=+\-@\t\r]/;
  const HIDDEN_FORMULA = /^'+[=+\-@\t\r]/;

  // The lines of some rows; a table begins with what `start` says.
  function write(rows, [delimiter, decimal, isForExcel]) {
    const cell = (value) => {
      let text = typeof value === "number" ? String(value).replace(".", decimal) : String(value);
      if (isForExcel && typeof value === "string" && FORMULA.test(text)) text = `'${text}`;
      const isPlain = ![delimiter, '"', "\n", "\r"].some((sign) => text.includes(sign));
      return isPlain ? text : `"${text.replaceAll('"', '""')}"`;
    };
    return rows.map((row) => row.map(cell).join(delimiter) + "\n").join("");
  }

  function start([, , isForExcel]) {
    return isForExcel ? BOM : "";
  }

  // Rows as objects by the names in the first line, in capitals.
  function read(text) {
    const isForExcel = text.startsWith(BOM);
    if (isForExcel) text = text.slice(1);
    text = text.replace(/^sep=.\r?\n/i, "");
    const first = text.split(/\r?\n/, 1)[0];
    const delimiter = [",", ";", "\t", "|"].find((sign) => first.includes(sign)) || ",";
    const [header = [], ...rows] = cells(text, delimiter);
    const names = header.map((name) => name.trim().toUpperCase());
    return rows.filter((row) => row.some((cell) => cell.trim())).map((row) => {
      const shown = row.map((cell) =>
        isForExcel && HIDDEN_FORMULA.test(cell) ? cell.slice(1) : cell);
      return Object.fromEntries(names.map((name, place) => [name, shown[place] ?? ""]));
    });
  }

  function cells(text, delimiter) {
    const rows = [];
    let row = [], cell = "", isQuoted = false;
    for (let i = 0; i < text.length; i += 1) {
      const sign = text[i];
      if (isQuoted) {
        if (sign !== '"') cell += sign;
        else if (text[i + 1] === '"') { cell += sign; i += 1; } else isQuoted = false;
      } else if (sign === '"' && cell === "") isQuoted = true;
      else if (sign === delimiter) { row.push(cell); cell = ""; } else if (sign === "\n" || sign === "\r") {
        if (sign === "\r" && text[i + 1] === "\n") i += 1;
        row.push(cell); rows.push(row); row = []; cell = "";
      } else cell += sign;
    }
    if (cell || row.length) { row.push(cell); rows.push(row); }
    return rows;
  }

  return { start, write, read };
})();
