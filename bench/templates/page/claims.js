"use strict";
// "Which claims hold?": the filter of claims, the chart of them on one axis, and permanent links.
(() => {
  const { DATA, byId, dark, drawInTurn, narrow, of, tint } = Page;

  const FILTERS = ["paper", "verdict", "kind"];
  function filter() {
    const asked = Object.fromEntries(FILTERS.map((name) => [name, byId(`claims-${name}`).value])), text = byId("claims-text").value.toLowerCase();
    const shown = new Set();
    let all = 0;
    for (const line of document.querySelectorAll("#claims tbody tr")) {
      all += 1;
      const good = FILTERS.every((name) => !asked[name] || line.dataset[name] === asked[name]) && line.textContent.toLowerCase().includes(text);
      line.hidden = !good;
      if (good) shown.add(line.id);
    }
    byId("claims-count").textContent = `${shown.size} of ${all} claims`;
    const points = DATA.claims.filter((point) => shown.has(point.claim));
    return drawInTurn([["claims-axis", points.length ? axis(points) : null]], (datum) => datum.claim && open(datum.claim));
  }

  function axis(points) {
    const names = Object.keys(DATA.verdicts);
    const tip = [{ field: "statement", title: "claim" }, { field: "reported" }, { field: "measured" }, { field: "verdict" }];
    const y = { field: "claim", type: "nominal", sort: null, title: null, axis: narrow() ? null : { labelLimit: 260 } };
    const bounds = points.filter((point) => point.allowed).map((point) => ({ ...point, low: point.allowed[0], high: point.allowed[1] })).filter((point) => point.low > 0);
    const x = { type: "quantitative", scale: { type: "log", nice: false, clamp: true, domain: [0.05, 20] }, title: "measured / reported; 1: as reported", axis: { values: [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20], format: "~g" } };
    const legend = { orient: "top", title: null, columns: narrow() ? 2 : 0 };
    return {
      description: "Measured over reported value of every claim with a number", height: 15 * new Set(points.map((point) => point.claim)).size, data: { values: points.filter((point) => point.ratio > 0) },
      layer: [
        { data: { values: bounds }, mark: { type: "bar", height: 9, color: of("--line") }, encoding: { y, x: { ...x, field: "low" }, x2: { field: "high" }, tooltip: tip } },
        { data: { values: [{ ratio: 1 }] }, mark: { type: "rule" }, encoding: { x: { ...x, field: "ratio" } } },
        { mark: { type: "point", filled: true, size: 70, cursor: "pointer" }, encoding: { y, x: { ...x, field: "ratio" }, color: { field: "verdict", type: "nominal", scale: { domain: names, range: names.map((name) => tint(DATA.verdicts[name])) }, legend }, shape: { field: "verdict", type: "nominal", scale: { domain: names }, legend }, tooltip: tip } },
      ],
    };
  }

  function open(id) {
    const line = byId(id);
    if (!line) return;
    line.hidden = false;
    const more = line.querySelector("details");
    if (more) more.open = true;
    history.replaceState(null, "", `#${id}`);
    line.scrollIntoView({ block: "center" });
    line.classList.add("target");
    setTimeout(() => line.classList.remove("target"), 4000);
  }

  function follow() {
    const id = decodeURIComponent(location.hash.slice(1));
    if (id && byId(id) && byId(id).closest("#claims")) open(id);
  }

  for (const name of [...FILTERS, "text"]) byId(`claims-${name}`).addEventListener("input", filter);
  byId("claims-filter").hidden = false;
  addEventListener("hashchange", follow);
  filter().then(follow);
  dark.addEventListener("change", filter);
})();
