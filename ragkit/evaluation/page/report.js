"use strict";
(() => {
  const list = document.getElementById("questions");
  const rows = [...list.querySelectorAll("details.q")];
  const [find, state, kind, sort] = ["find", "state", "kind", "sort"].map((id) => document.getElementById(id));
  const shown = document.getElementById("shown");
  const none = document.getElementById("none");
  const number = (row, key) => Number(row.dataset[key] || 0);
  const orders = {
    dataset: (a, b) => number(a, "at") - number(b, "at"),
    worst: (a, b) => number(a, "score") - number(b, "score"),
    change: (a, b) => number(a, "gain") - number(b, "gain"),
    slowest: (a, b) => number(b, "seconds") - number(a, "seconds"),
  };

  function apply() {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const fits = words.every((word) => row.dataset.text.includes(word))
        && (!state.value || row.dataset.states.split(" ").includes(state.value))
        && (!kind.value || row.dataset.kind === kind.value);
      row.hidden = !fits;
      count += fits ? 1 : 0;
    }
    shown.textContent = `${count} of ${rows.length} questions`;
    none.hidden = count > 0;
  }

  function reorder() {
    list.append(...[...rows].sort((a, b) => orders[sort.value](a, b) || orders.dataset(a, b)));
  }

  function open() {
    const row = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (row && row.matches("details.q")) {
      row.hidden = false;
      row.open = true;
      row.scrollIntoView();
    }
  }

  find.addEventListener("input", apply);
  state.addEventListener("change", apply);
  kind.addEventListener("change", apply);
  sort.addEventListener("change", reorder);
  window.addEventListener("hashchange", open);
  apply();
  open();
})();
