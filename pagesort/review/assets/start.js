"use strict";
// The last script: by now the pages' data is there, unless the folder is incomplete.

if (PageSort.data) {
  window.sheet = new Sheet(PageSort.data);
} else {
  const warning = document.getElementById("warning");
  warning.textContent = "The data of this sheet is missing. Copy its whole folder, not index.html alone.";
  warning.hidden = false;
}
