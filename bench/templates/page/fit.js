"use strict";
// "Will it fit?": the calculator, its table and its three linked charts. What is asked at first and the lines to copy are data.
(() => {
  const { DATA, byId, dark, digits, drawInTurn, narrow, of, tint } = Page;
  const GiB = 2 ** 30;
  const MOST_T = 1000, MOST_BATCH = 100000;
  const state = { ...DATA.start, exact: false, pinned: "" };

  // ------------------------------------------------------------------ numbers

  const usable = () => state.GiB * GiB - DATA.headroom;

  // In the largest unit of which there is at least one: 13.1 GiB, 819 MiB; 2.08T, 46.4M.
  function inUnits(value, units, step) {
    const at = Math.max(0, Math.min(units.length - 1, Math.floor(Math.log(value) / Math.log(step))));
    return `${digits(value / step ** at)}${units[at]}`;
  }
  const bytes = (value) => inUnits(value, [" B", " KiB", " MiB", " GiB"], 1024);
  const macs = (value) => inUnits(value, ["", "k", "M", "G", "T", "P"], 1000);

  function fits(peak, error) {
    if (peak * (1 + error) <= usable()) return "fits";
    return peak * (1 - error) > usable() ? "does not fit" : "too close to say";
  }

  function row(formula, parts, schedule) {
    const ofBatch = (B) => (schedule ? Calculator.peak(formula, parts, B) : Calculator.own(formula, state.T, B));
    const need = (T) => Calculator.own(formula, Math.max(T, formula.least), state.batch);
    const peak = ofBatch(state.batch), error = !schedule && Calculator.counted(formula, state.T) ? 0 : formula.error;
    const title = schedule ? `${formula.title}, fewest recomputed steps that fit` : formula.title;
    return {
      id: `${formula.algorithm} ${JSON.stringify(formula.options)} ${formula.backend} ${schedule}`,
      title, backend: formula.backendTitle, label: formula.backendTitle ? `${title} · ${formula.backendTitle}` : title, formula, parts, schedule,
      peak, GiB: peak / GiB, bytes: bytes(peak), macs: Calculator.amount(formula, "macs", parts, state.batch),
      multiplications: Calculator.amount(formula, "multiplications", parts, state.batch),
      traffic: Calculator.amount(formula, "traffic", parts, state.batch), exact: formula.exact,
      gradient: formula.exact ? "exact" : cosine(formula.algorithm), error, fit: fits(peak, error),
      colour: tint(formula.colour),
      largestBatch: Calculator.largest(ofBatch, usable() / (1 + error), MOST_BATCH),
      largestT: schedule ? null : Calculator.largest(need, usable() / (1 + formula.error), MOST_T),
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

  // The lines to copy: those of the data with the choice in the place of {T}, {batch}, {GiB}, {network}, {algorithm}, {backend},
  // {options} (as keyword arguments) and {given} (the same as a dictionary, of algorithms that have any).
  function commands(each) {
    const { formula, parts, schedule } = each;
    const options = Object.entries({ ...formula.options, ...(schedule ? { lengths: parts } : {}) }).map(([name, value]) => [name, JSON.stringify(value)]);
    const values = {
      ...state, algorithm: formula.algorithm, backend: formula.backend, options: options.map(([name, value]) => `, ${name}=${value}`).join(""),
      given: options.length ? `, options={"${formula.algorithm}": {${options.map(([name, value]) => `"${name}": ${value}`).join(", ")}}}` : "",
    };
    const lines = (schedule && DATA.lines.schedule) || DATA.lines[formula.algorithm] || DATA.lines.algorithm;
    return lines.join("\n").replace(/\{(\w+)\}/g, (_, name) => values[name]);
  }

  function answer(found) {
    const best = cheapestExact(found), exact = found.filter((each) => each.exact), least = exact[0];
    const card = `${digits(usable() / GiB)} GiB for tensors of a card of ${digits(state.GiB)} GiB`;
    const bptt = found.find((each) => each.formula.algorithm === "bptt" && each.formula.backend === DATA.reference);
    if (!best && !least) return `No formula for this choice.`;
    const named = (each) => (each.backend ? `${each.title} on ${each.backend}` : each.title);
    if (!best) return `No exact gradient ${exact.some((each) => each.fit !== "does not fit") ? "surely " : ""}fits in ${card}: ${named(least)} needs ${bytes(least.peak)}.`;
    const more = bptt && best.macs > bptt.macs ? `, ${digits(best.macs / bptt.macs)} times the MACs of BPTT` : "";
    const parts = best.parts.length > 1 ? `, segments of ${best.parts.join(", ")} time steps` : "";
    return `Cheapest exact gradient in ${card}: ${named(best)}${parts}. Peak ${bytes(best.peak)}${more}.`;
  }

  // ------------------------------------------------------------------ charts

  const TIP = [
    { field: "label", title: "algorithm" }, { field: "bytes", title: "peak" },
    { field: "macs", title: "MACs", format: ".3~s" }, { field: "gradient", title: "gradient" }, { field: "fit", title: "on this card" },
  ];
  const plain = (found) => found.map(({ formula, parts, ...rest }) => ({ ...rest, steps: parts.join(", ") }));
  // One colour per algorithm, with a legend below the chart.
  function colours(found) {
    const unique = [...new Map(found.map((each) => [each.title, each.colour]))];
    const [domain, range] = [unique.map(([title]) => title), unique.map(([, tone]) => tone)];
    return { field: "title", type: "nominal", scale: { domain, range }, legend: { orient: "bottom", title: null, columns: narrow() ? 1 : 4, labelLimit: 300 } };
  }
  // One shape per backend, where there are several.
  const shapes = (found) =>
    new Set(found.map((each) => each.backend)).size < 2 ? {} : { shape: { field: "backend", type: "nominal", legend: { orient: "bottom", title: null, columns: narrow() ? 1 : 4 } } };
  const pinnedOr = (value, other) => ({ condition: { test: `datum.id === ${JSON.stringify(state.pinned)}`, value }, value: other });

  function bars(found) {
    const limit = { data: { values: [{ GiB: usable() / GiB }] }, mark: { type: "rule", strokeDash: [5, 3], strokeWidth: 1.5 }, encoding: { x: { field: "GiB", type: "quantitative" }, tooltip: { value: `${digits(usable() / GiB)} GiB for tensors` } } };
    const y = { field: "label", type: "nominal", sort: null, title: null, axis: { labelLimit: narrow() ? 150 : 380 } };
    const number = { type: "text", align: "left", dx: 4, fontSize: 11 };
    const room = usable() / GiB, off = room > 5 * Math.max(...found.map((each) => each.GiB)); // bars beside a far limit would be slivers
    const place = off ? `the card leaves ${digits(room)} GiB for tensors` : `dashed: what the card leaves${narrow() ? "" : " for tensors"}`;
    const x = { field: "GiB", type: "quantitative", title: `peak${narrow() ? "" : " live memory"}, GiB; ${place}`, axis: { tickCount: narrow() ? 4 : 6 } };
    return {
      description: "Peak memory of every algorithm and backend against the memory of the card", data: { values: plain(found) }, height: 22 * found.length,
      layer: [
        ...(off ? [] : [limit]), // below the bars and their numbers
        { mark: { type: "bar", cornerRadiusEnd: 2, cursor: "pointer", stroke: of("--ink") }, encoding: { y, x, color: { ...colours(found), legend: null }, tooltip: TIP, opacity: { condition: { test: "datum.fit === 'fits'", value: 1 }, value: 0.35 }, strokeWidth: pinnedOr(2, 0) } },
        { mark: { ...number, stroke: of("--page"), strokeWidth: 5 }, encoding: { y, x, text: { field: "bytes" } } },
        { mark: number, encoding: { y, x, text: { field: "bytes" } } },
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
            color: colours(found), ...shapes(found),
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
      if (schedule || formula.backend !== DATA.reference) continue;
      for (const T of steps) {
        if (T >= formula.least) values.push({ id, title, T, GiB: Calculator.own(formula, T, state.batch) / GiB, colour: tint(formula.colour) });
      }
    }
    const x = { field: "T", type: "quantitative", scale: { type: "log", domain: [1, 400] }, title: "time steps T", axis: { values: [1, 2, 5, 10, 20, 50, 100, 200, 400] } };
    const y = { field: "GiB", type: "quantitative", scale: { type: "log", nice: false }, title: "peak live memory, GiB", axis: { format: "~g", tickCount: 6 } };
    return {
      description: "Peak memory against the number of time steps", data: { values }, height: 320,
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
          name, cell(bytes(each.peak), "peak"), fit, cell(macs(each.macs), "MACs"),
          cell(bytes(each.traffic), "traffic"), cell(each.gradient, "gradient"),
          cell(each.largestBatch >= MOST_BATCH ? `over ${MOST_BATCH}` : String(each.largestBatch), "largest batch"), cell(T, "largest T"),
          cell(each.error ? `${digits(100 * each.error, 2)} %` : "none: counted", "error at most"),
        );
        return line;
      }),
    );
  }

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
    drawInTurn(specs, pin, () => {
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
    const T = number(byId("fit-T"), 1, true), batch = number(byId("fit-batch"), DATA.leastBatch, true), size = number(byId("fit-GiB"), DATA.headroom / GiB + 0.1, false);
    const wrong = [T === null && "T: a whole number from 1", batch === null && `batch: a whole number from ${DATA.leastBatch}`, size === null && `memory: a number over ${DATA.headroom / GiB} GiB, which CUDA itself needs`].filter(Boolean);
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
    else if (!networks.includes(state.network)) state.network = networks[0];
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

  start();
  dark.addEventListener("change", () => { if (DATA.formulas.length) update(); });
})();
