"use strict";
// What the parts of a page share: its data, words for numbers, colours, and charts that are drawn one after another.
const Page = (() => {
  const DATA = JSON.parse(document.getElementById("data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const byId = (id) => document.getElementById(id);
  const digits = (value, n = 3) => Number(value.toPrecision(n)).toLocaleString("en", { maximumSignificantDigits: n });
  const tint = ([light, night]) => (dark.matches ? night : light);
  const narrow = () => innerWidth < 600;

  const of = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim(); // a colour of the page

  function config() {
    const text = { labelColor: of("--ink"), titleColor: of("--muted"), labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" };
    return {
      background: "transparent", font: "system-ui, sans-serif", view: { stroke: null },
      axis: { ...text, gridColor: of("--line"), domainColor: of("--line"), tickColor: of("--line") },
      // Legends below a chart stand one under another: side by side the second would be cut off at the right edge.
      legend: { ...text, symbolBaseFillColor: of("--ink"), symbolBaseStrokeColor: of("--ink"), layout: { bottom: { direction: "vertical", anchor: "start", margin: 6 } } },
      rule: { color: of("--ink") }, text: { color: of("--ink") },
    };
  }

  async function draw(id, spec, onClick) {
    const host = byId(id);
    if (!spec) {
      host.replaceChildren();
      return;
    }
    const made = await vegaEmbed(host, { $schema: "https://vega.github.io/schema/vega-lite/v6.json", width: "container", autosize: { type: "fit-x", contains: "padding" }, config: config(), ...spec }, { actions: false, renderer: "svg" });
    if (onClick) made.view.addEventListener("click", (_, item) => item && item.datum && onClick(item.datum));
  }

  // Charts are drawn in the order in which they were asked for; `done` runs after the last of them.
  let drawing = Promise.resolve();
  function drawInTurn(specs, onClick, done = () => {}) {
    drawing = drawing.then(async () => {
      for (const [id, spec] of specs) await draw(id, spec, onClick);
      done();
    });
    return drawing;
  }

  return { DATA, byId, config, dark, digits, drawInTurn, narrow, of, tint };
})();
