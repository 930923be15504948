"use strict";
// Which pages are shown, in which order.

const Selection = (() => {
  const EVERYTHING = {
    category: "all", state: "all", order: "sheet", document: "", from: null, to: null,
    differs: false, noted: false,
  };

  // Indices of the pages that a person asks for; `documents` are those that the name fits, or null.
  function select(data, corrections, filters, documents) {
    const { FAILED, DIFFERS, NOTED, NONE } = PageSort;
    const wanted = [];
    const from = filters.from === null ? -1 : filters.from * 10;
    const to = filters.to === null ? Infinity : filters.to * 10;
    const hasBand = filters.from !== null || filters.to !== null;
    for (let index = 0; index < data.pages; index += 1) {
      const flags = data.flags[index], score = data.score[index];
      if (filters.category === "failed") {
        if (!(flags & FAILED)) continue;
      } else if (filters.category !== "all" && corrections.label(index) !== filters.category) continue;
      if (filters.state !== "all" && !isInState(data, corrections, index, filters.state)) continue;
      if (filters.differs && !(flags & DIFFERS)) continue;
      if (filters.noted && !(flags & NOTED)) continue;
      if (hasBand && (score === NONE || score < from || score > to)) continue;
      if (documents !== null && !documents.has(data.document[index])) continue;
      wanted.push(index);
    }
    return ordered(data, wanted, filters);
  }

  function isInState(data, corrections, index, state) {
    if (state === "review") return (data.flags[index] & PageSort.NEEDS_REVIEW) > 0;
    return state === corrections.state(index);
  }

  function ordered(data, wanted, filters) {
    const isOneCategory = typeof filters.category === "number";
    if (filters.order === "scan") return wanted.sort((a, b) => data.order[a] - data.order[b]);
    if (data.mode === "review" && (filters.order === "score" || isOneCategory)) {
      // Stable, so that pages of one score stay as they are.
      return wanted.sort((a, b) => data.score[a] - data.score[b]);
    }
    return wanted;
  }

  return { EVERYTHING, select };
})();
