"use strict";
// Which key calls a page by which label.

const Keys = (() => {
  const DIGITS = [..."1234567890"];
  const LETTERS = [..."abcdefghijklmopqrstvwxy"];  // without those of commands: N, U, Z
  const ALL = [...DIGITS, ...LETTERS];

  function ofLabel(place) {
    return ALL[place] || "";
  }

  // The place of the label that a key stands for, or -1. Digits go by the place of their key, as
  // some keyboards have letters with accents there.
  function label(event) {
    const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code);
    if (digit) return event.shiftKey ? -1 : ALL.indexOf(digit[1]);
    return event.key.length === 1 ? ALL.indexOf(event.key.toLowerCase()) : -1;
  }

  const COMMANDS = [
    ["Arrows", "go to another page"],
    ["Enter", "enlarge the page, and close it again"],
    ["Space", "the page is right as it is", "not-audit"],
    ["N", "go to the next page that nobody has looked at"],
    ["U", "undo the last step"],
    ["Delete", "forget what you said of this page"],
    ["Page Up, Page Down", "go to the pages before and after these"],
    ["Home, End", "go to the first and to the last page"],
    ["Z", "show the enlarged page in full size"],
    ["/", "look for a document"],
    ["Esc", "close, or leave a field"],
    ["?", "this help"],
  ];

  return { ofLabel, label, COMMANDS };
})();
