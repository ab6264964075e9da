"use strict";
// The interactive parts of the page: the calculator, its three linked charts, and the filter of claims.
(() => {
  const DATA = JSON.parse(document.getElementById("data").textContent);
  const GiB = 2 ** 30;
  const MOST_T = 1000, MOST_BATCH = 100000;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const byId = (id) => document.getElementById(id);
  const digits = (value, n = 3) => Number(value.toPrecision(n)).toLocaleString("en", { maximumSignificantDigits: n });
  const tint = ([light, night]) => (dark.matches ? night : light);
  const state = { network: "", T: 30, batch: 256, GiB: 8, exact: false, pinned: "" };

  // ------------------------------------------------------------------ numbers

  const usable = () => state.GiB * GiB - DATA.headroom;

  function fits(peak, error) {
    if (peak * (1 + error) <= usable()) return "fits";
    return peak * (1 - error) > usable() ? "does not fit" : "too close to say";
  }

  function row(formula, parts, schedule) {
    const peak = Calculator.peak(formula, parts, state.batch), room = usable() / (1 + formula.error);
    const need = (T) => Calculator.peak(formula, Calculator.lengths(formula, Math.max(T, formula.least)), state.batch);
    const title = schedule ? `${formula.title}, fewest recomputed steps that fit` : formula.title;
    return {
      id: `${formula.algorithm} ${JSON.stringify(formula.options)} ${formula.backend} ${schedule}`,
      title, backend: formula.backendTitle, label: `${title} · ${formula.backendTitle}`, formula, parts, schedule,
      peak, GiB: peak / GiB, macs: Calculator.amount(formula, "macs", parts, state.batch),
      multiplications: Calculator.amount(formula, "multiplications", parts, state.batch),
      traffic: Calculator.amount(formula, "traffic", parts, state.batch), exact: formula.exact,
      gradient: formula.exact ? "exact" : cosine(formula.algorithm), error: formula.error, fit: fits(peak, formula.error),
      colour: tint(formula.colour),
      largestBatch: Calculator.largest((B) => Calculator.peak(formula, parts, B), room, MOST_BATCH),
      largestT: schedule ? null : Calculator.largest(need, room, MOST_T),
    };
  }

  function cosine(algorithm) {
    const values = (DATA.cosines[algorithm] || []).map((found) => found.cosine);
    if (!values.length) return "approximate";
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const range = values.length === 1 ? digits(low, 2) : `${digits(low, 2)} to ${digits(high, 2)}`;
    return `approximate, cosine ${range}`;
  }

  function rows() {
    const found = [];
    for (const formula of DATA.formulas.filter((each) => each.network === state.network)) {
      const parts = Calculator.lengths(formula, state.T);
      if (parts) found.push(row(formula, parts, false));
      if (formula.kind === "checkpointed") {
        const within = Calculator.segmentsWithin(formula, state.T, state.batch, usable() / (1 + formula.error));
        if (within && within.length > 1) found.push(row(formula, within, true));
      }
    }
    return found.filter((each) => each.exact || !state.exact).sort((a, b) => a.peak - b.peak);
  }

  const cheapestExact = (found) =>
    found.filter((each) => each.exact && each.fit === "fits").sort((a, b) => a.macs - b.macs || a.peak - b.peak)[0];

  // ------------------------------------------------------------------ words

  function commands(each) {
    const { formula, parts, schedule } = each;
    const options = { ...formula.options, ...(schedule ? { lengths: parts } : {}) };
    const python = Object.entries(options).map(([name, value]) => `, ${name}=${JSON.stringify(value)}`).join("");
    const lines = [];
    if (schedule) lines.push(`spikecost fit ${state.network} --T ${state.T} --batch ${state.batch} --budget ${state.GiB}`, "");
    lines.push(
      "import spikecost",
      `step = spikecost.training_step("${state.network}", "${formula.algorithm}", "${formula.backend}"${python})`,
      `cost = spikecost.cost("${state.network}", "${formula.algorithm}", "${formula.backend}", T=${state.T}, batch=${state.batch}${python})`,
      'print(f"{cost.memory.total / 2**30:.2f} GiB")',
    );
    return lines.join("\n");
  }

  function answer(found) {
    const best = cheapestExact(found), exact = found.filter((each) => each.exact), least = exact[0];
    const card = `${digits(usable() / GiB)} GiB for tensors of a card of ${digits(state.GiB)} GiB`;
    const bptt = found.find((each) => each.formula.algorithm === "bptt" && each.formula.backend === "native");
    if (!best && !least) return `No formula for this choice.`;
    if (!best) return `No exact gradient fits in ${card}: ${least.title} on ${least.backend} needs ${digits(least.GiB)} GiB.`;
    const more = bptt && best.macs > bptt.macs ? `, ${digits(best.macs / bptt.macs)} times the MACs of BPTT` : "";
    const parts = best.parts.length > 1 ? `, segments of ${best.parts.join(", ")} time steps` : "";
    return `Cheapest exact gradient in ${card}: ${best.title} on ${best.backend}${parts}. Peak ${digits(best.GiB)} GiB${more}.`;
  }

  // ------------------------------------------------------------------ charts

  function config() {
    const style = getComputedStyle(document.documentElement), of = (name) => style.getPropertyValue(name).trim();
    const text = { labelColor: of("--ink"), titleColor: of("--muted"), labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" };
    return {
      background: "transparent", font: "system-ui, sans-serif", view: { stroke: null },
      axis: { ...text, gridColor: of("--line"), domainColor: of("--line"), tickColor: of("--line") },
      legend: { ...text, symbolType: "circle" }, rule: { color: of("--ink") }, text: { color: of("--ink") },
    };
  }

  const views = {};
  async function draw(id, spec, onClick) {
    const host = byId(id);
    if (!spec) {
      host.replaceChildren();
      return;
    }
    const made = await vegaEmbed(host, { $schema: "https://vega.github.io/schema/vega-lite/v6.json", width: "container", autosize: { type: "fit-x", contains: "padding" }, config: config(), ...spec }, { actions: false, renderer: "svg" });
    views[id] = made.view;
    if (onClick) made.view.addEventListener("click", (_, item) => item && item.datum && onClick(item.datum));
  }

  const TIP = [
    { field: "label", title: "algorithm" }, { field: "GiB", title: "peak, GiB", format: ".3~g" },
    { field: "macs", title: "MACs", format: ".3~s" }, { field: "gradient", title: "gradient" }, { field: "fit", title: "on this card" },
  ];
  const plain = (found) => found.map(({ formula, parts, ...rest }) => ({ ...rest, steps: parts.join(", ") }));
  const narrow = () => innerWidth < 600;
  // One colour per algorithm, with a legend below the chart.
  function colours(found) {
    const unique = [...new Map(found.map((each) => [each.title, each.colour]))];
    const [domain, range] = [unique.map(([title]) => title), unique.map(([, tone]) => tone)];
    return { field: "title", type: "nominal", scale: { domain, range }, legend: { orient: "bottom", title: null, columns: narrow() ? 2 : 4, labelLimit: 300 } };
  }
  const pinnedOr = (value, other) => ({ condition: { test: `datum.id === ${JSON.stringify(state.pinned)}`, value }, value: other });

  function bars(found) {
    const limit = { data: { values: [{ GiB: usable() / GiB }] }, mark: { type: "rule", strokeDash: [5, 3], strokeWidth: 1.5 }, encoding: { x: { field: "GiB", type: "quantitative" }, tooltip: { value: `${digits(usable() / GiB)} GiB for tensors` } } };
    const y = { field: "label", type: "nominal", sort: null, title: null, axis: { labelLimit: narrow() ? 150 : 380 } };
    const x = { field: "GiB", type: "quantitative", title: "peak live memory, GiB; dashed: what the card leaves for tensors", axis: { tickCount: 6 } };
    return {
      description: "Peak memory of every algorithm and backend against the memory of the card", data: { values: plain(found) }, height: { step: 22 },
      layer: [
        { mark: { type: "bar", cornerRadiusEnd: 2, cursor: "pointer" }, encoding: { y, x, color: { ...colours(found), legend: null }, tooltip: TIP, opacity: { condition: { test: "datum.fit === 'fits'", value: 1 }, value: 0.35 }, stroke: { value: config().text.color }, strokeWidth: pinnedOr(2, 0) } },
        { mark: { type: "text", align: "left", dx: 4, fontSize: 11 }, encoding: { y, x, text: { field: "GiB", format: ".3~g" } } },
        limit,
      ],
    };
  }

  function plane(found) {
    return {
      description: "Peak memory against multiply-accumulates of a training step", data: { values: plain(found) }, height: 300,
      layer: [
        {
          mark: { type: "point", filled: true, cursor: "pointer" },
          encoding: {
            x: { field: "GiB", type: "quantitative", scale: { type: "log", nice: false, padding: 20 }, title: "peak live memory, GiB", axis: { format: "~g", tickCount: 6 } },
            y: { field: "macs", type: "quantitative", scale: { zero: false, padding: 20 }, title: "MACs of a training step", axis: { format: "~s" } },
            color: colours(found), shape: { field: "backend", type: "nominal", legend: { orient: "bottom", title: null, columns: narrow() ? 1 : 4 } },
            size: pinnedOr(260, 110), opacity: { condition: { test: "datum.exact", value: 1 }, value: 0.55 }, tooltip: TIP,
          },
        },
        { data: { values: [{ GiB: usable() / GiB }] }, mark: { type: "rule", strokeDash: [5, 3] }, encoding: { x: { field: "GiB", type: "quantitative" } } },
      ],
    };
  }

  function overT(found) {
    const steps = [1, 2, 3, 4, 6, 8, 10, 13, 16, 20, 25, 32, 40, 50, 64, 80, 100, 128, 160, 200, 250, 320, 400];
    const values = [];
    for (const { formula, id, title, schedule } of found) {
      if (schedule || formula.backend !== "native") continue;
      for (const T of steps) {
        const parts = Calculator.lengths(formula, T);
        if (parts) values.push({ id, title, T, GiB: Calculator.peak(formula, parts, state.batch) / GiB, colour: tint(formula.colour) });
      }
    }
    const x = { field: "T", type: "quantitative", scale: { type: "log", domain: [1, 400] }, title: "time steps T", axis: { values: [1, 2, 5, 10, 20, 50, 100, 200, 400] } };
    const y = { field: "GiB", type: "quantitative", scale: { type: "log", nice: false }, title: "peak live memory, GiB", axis: { format: "~g", tickCount: 6 } };
    return {
      description: "Peak memory against the number of time steps, native backend", data: { values }, height: 320,
      layer: [
        { mark: { type: "line", cursor: "pointer" }, encoding: { x, y, color: colours(values), detail: { field: "id" }, strokeWidth: pinnedOr(4, 2), tooltip: [{ field: "title", title: "algorithm" }, { field: "T" }, { field: "GiB", format: ".3~g" }] } },
        { data: { values: [{ GiB: usable() / GiB }] }, mark: { type: "rule", strokeDash: [5, 3] }, encoding: { y: { field: "GiB", type: "quantitative" } } },
      ],
    };
  }

  // ------------------------------------------------------------------ the calculator

  function cell(text, label) {
    const made = document.createElement("td");
    made.textContent = text;
    if (label) made.dataset.of = label;
    return made;
  }

  function table(found) {
    const body = byId("fit-rows");
    body.replaceChildren(
      ...found.map((each) => {
        const line = document.createElement("tr");
        line.dataset.id = each.id;
        line.dataset.peak = each.peak;
        line.classList.toggle("pinned", each.id === state.pinned);
        const name = document.createElement("td"), pin = document.createElement("button");
        pin.type = "button";
        pin.textContent = each.label;
        pin.className = "pin";
        pin.setAttribute("aria-pressed", String(each.id === state.pinned));
        pin.addEventListener("click", () => choosePin(each.id));
        name.append(pin);
        const fit = cell(each.fit, "");
        fit.className = { fits: "reproduced", "does not fit": "not-reproduced" }[each.fit] || "cannot-tell";
        const T = each.largestT === null ? "–" : each.largestT >= MOST_T ? `over ${MOST_T}` : String(each.largestT);
        line.append(
          name, cell(`${digits(each.GiB)} GiB`, "peak"), fit, cell(digits(each.macs / 1e12), "10¹² MACs"),
          cell(`${digits(each.traffic / GiB)} GiB`, "traffic"), cell(each.gradient, "gradient"),
          cell(each.largestBatch >= MOST_BATCH ? `over ${MOST_BATCH}` : String(each.largestBatch), "largest batch"), cell(T, "largest T"),
          cell(`${digits(100 * each.error, 2)} %`, "error at most"),
        );
        return line;
      }),
    );
  }

  let drawing = Promise.resolve();
  function choosePin(id) {
    state.pinned = state.pinned === id ? "" : id;
    update();
  }

  function update() {
    const found = rows(), best = cheapestExact(found), chosen = found.find((each) => each.id === state.pinned) || best || found[0];
    byId("fit-answer").textContent = answer(found);
    byId("fit-command").textContent = chosen ? commands(chosen) : "";
    byId("fit-chosen").textContent = chosen ? chosen.label : "";
    table(found);
    const pin = (datum) => datum.id && choosePin(datum.id);
    const specs = [["fit-bars", found.length && bars(found)], ["fit-plane", found.length && plane(found)], ["fit-over-T", found.length && overT(found)]];
    drawing = drawing.then(async () => {
      for (const [id, spec] of specs) await draw(id, spec, pin);
      document.documentElement.dataset.drawn = String(Number(document.documentElement.dataset.drawn || 0) + 1);
    });
    history.replaceState(null, "", `#fit/${state.network}/T${state.T}/b${state.batch}/${state.GiB}`);
  }

  function number(input, least, whole) {
    const value = Number(input.value), good = Number.isFinite(value) && value >= least && (!whole || Number.isInteger(value));
    input.setAttribute("aria-invalid", String(!good));
    return good ? value : null;
  }

  function read() {
    const T = number(byId("fit-T"), 1, true), batch = number(byId("fit-batch"), 1, true), size = number(byId("fit-GiB"), DATA.headroom / GiB + 0.1, false);
    const wrong = [T === null && "T: a whole number from 1", batch === null && "batch: a whole number from 1", size === null && `memory: a number over ${DATA.headroom / GiB} GiB, which CUDA itself needs`].filter(Boolean);
    byId("fit-wrong").textContent = wrong.length ? `Use ${wrong.join("; ")}.` : "";
    if (wrong.length) return;
    Object.assign(state, { network: byId("fit-network").value, T, batch, GiB: size, exact: byId("fit-exact").checked });
    update();
  }

  function start() {
    const networks = [...new Set(DATA.formulas.map((formula) => formula.network))].sort();
    if (!networks.length) return;
    byId("fit-network").append(...networks.map((name) => new Option(name, name)));
    byId("fit-card").append(new Option("another: enter GiB", ""), ...Object.entries(DATA.cards).map(([name, size]) => new Option(name, size)));
    const asked = location.hash.match(/^#fit\/(.+)\/T(\d+)\/b(\d+)\/([\d.]+)$/);
    if (asked && networks.includes(asked[1])) Object.assign(state, { network: asked[1], T: +asked[2], batch: +asked[3], GiB: +asked[4] });
    else state.network = networks.includes("vgg-sws/cifar10") ? "vgg-sws/cifar10" : networks[0];
    byId("fit-network").value = state.network;
    byId("fit-T").value = state.T;
    byId("fit-batch").value = state.batch;
    byId("fit-GiB").value = state.GiB;
    const showCard = () => { byId("fit-card").value = Object.values(DATA.cards).includes(+byId("fit-GiB").value) ? byId("fit-GiB").value : ""; };
    showCard();
    byId("fit-card").addEventListener("change", (event) => {
      if (event.target.value) byId("fit-GiB").value = event.target.value;
      read();
    });
    for (const id of ["fit-network", "fit-T", "fit-batch", "fit-GiB", "fit-exact"]) {
      byId(id).addEventListener("input", () => { showCard(); read(); });
    }
    byId("fit-copy").addEventListener("click", () => navigator.clipboard.writeText(byId("fit-command").textContent));
    byId("fit").hidden = false;
    const hash = location.hash;
    if (asked) read();
    else {
      Object.assign(state, { exact: byId("fit-exact").checked });
      update();
      history.replaceState(null, "", hash || location.pathname + location.search);
    }
  }

  // ------------------------------------------------------------------ claims

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
    drawing = drawing.then(() => draw("claims-axis", points.length ? axis(points) : null, (datum) => datum.claim && open(datum.claim)));
  }

  function axis(points) {
    const names = Object.keys(DATA.verdicts);
    const tip = [{ field: "statement", title: "claim" }, { field: "reported" }, { field: "measured" }, { field: "verdict" }];
    const y = { field: "claim", type: "nominal", sort: null, title: null, axis: narrow() ? null : { labelLimit: 260 } };
    const bounds = points.filter((point) => point.allowed).map((point) => ({ ...point, low: point.allowed[0], high: point.allowed[1] })).filter((point) => point.low > 0);
    const x = { type: "quantitative", scale: { type: "log", nice: false, clamp: true, domain: [0.05, 20] }, title: "measured / reported; 1: as reported", axis: { values: [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20], format: "~g" } };
    return {
      description: "Measured over reported value of every claim with a number", height: { step: 15 }, data: { values: points.filter((point) => point.ratio > 0) },
      layer: [
        { data: { values: bounds }, mark: { type: "bar", height: 9, color: getComputedStyle(document.documentElement).getPropertyValue("--line") }, encoding: { y, x: { ...x, field: "low" }, x2: { field: "high" }, tooltip: tip } },
        { data: { values: [{ ratio: 1 }] }, mark: { type: "rule" }, encoding: { x: { ...x, field: "ratio" } } },
        { mark: { type: "point", filled: true, size: 70, cursor: "pointer" }, encoding: { y, x: { ...x, field: "ratio" }, color: { field: "verdict", type: "nominal", scale: { domain: names, range: names.map((name) => tint(DATA.verdicts[name])) }, legend: { orient: "top", title: null, columns: narrow() ? 2 : 0 } }, shape: { field: "verdict", type: "nominal", scale: { domain: names }, legend: null }, tooltip: tip } },
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
  start();
  filter();
  drawing.then(follow);
  dark.addEventListener("change", () => { if (state.network) update(); filter(); });
})();
