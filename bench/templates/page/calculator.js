"use strict";
// The formulas of bench/planning/formulas.py, computed in the reader's browser: bytes, T time steps, B samples.
const Calculator = (() => {
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const peakOf = (lines, B) => Math.max(...lines.map(([constant, slope]) => constant + slope * B));

  // The straight lines between points [K, value]; the outer ones go on.
  function joined(points, K) {
    if (points.length === 1) return points[0][1];
    let i = 1;
    while (i < points.length - 1 && K > points[i][0]) i += 1;
    const [[k0, y0], [k1, y1]] = [points[i - 1], points[i]];
    return y0 + ((y1 - y0) * (K - k0)) / (k1 - k0);
  }

  const at = (formula, piece, K, B) => joined(formula.pieces[piece].map(([k, lines]) => [k, peakOf(lines, B)]), K);

  function bestSegments(T, graphToState, kept) {
    const need = (C) => {
      const short = Math.floor(T / C), longer = T % C;
      const last = C - 1 + Math.ceil(kept * short) * graphToState;
      return longer ? Math.max(last, longer - 1 + Math.ceil(kept * (short + 1)) * graphToState) : last;
    };
    const far = Math.min(T, Math.ceil(4 * Math.sqrt(T * kept * graphToState)) + 8);
    let best = 1;
    for (let C = 2; C <= far; C += 1) if (need(C) < need(best)) best = C;
    return best;
  }

  // Segments that the algorithm chooses by itself; null where Skipper cannot leave out its share of so few steps.
  function lengths(formula, T) {
    const { layers, graph_to_state: ratio, kept, window } = formula.sizes;
    if (T < formula.least) return null;
    if (formula.kind === "plain") return [T];
    if (formula.kind === "replay") return T > window ? [T - window, window] : [T];
    const most = kept < 1 ? Math.max(Math.floor(T / Math.ceil(layers / kept)), 1) : T;
    const C = Math.min(bestSegments(T, ratio, kept), most);
    return Array.from({ length: C }, (_, i) => Math.floor(T / C) + (i < T % C ? 1 : 0));
  }

  function again(formula, parts) {
    if (formula.kind === "skipper") return sum(parts.map((K) => Math.ceil(formula.sizes.kept * K)));
    return sum(parts.slice(0, -1));
  }

  function anchors(sizes, T) {
    const { window: K, within } = sizes;
    if (!within || T <= K) return 0;
    const short = Math.min(K, within), first = (T - K) % short || short;
    const windows = Math.floor((T - K - first) / short), inRow = Math.floor(within / short);
    const runs = Math.ceil(windows / inRow), room = runs ? within - (windows - (runs - 1) * inRow) * short : within;
    return Math.max(runs - 1, 0) + (runs && first > room ? 1 : 0);
  }

  function peak(formula, parts, B) {
    const T = sum(parts), C = parts.length, S = formula.sizes.state * B, last = parts[C - 1];
    let most = 0;
    if (formula.kind === "plain") return at(formula, "P", T, B);
    if (formula.kind === "checkpointed") {
      if (C === 1) return at(formula, "P", T, B);
      most = Math.max((C - 1) * S + at(formula, "G", last, B), ...parts.slice(0, -1).map((K, i) => i * S + at(formula, "M", K, B)));
    } else if (formula.kind === "skipper") {
      const kept = parts.map((K) => Math.ceil(formula.sizes.kept * K));
      most = C <= 2 ? at(formula, `P${C}`, kept[0], B)
        : Math.max(...kept.map((K, i) => (Math.min(i, C - 2) - 1) * S + at(formula, "P3", K, B)));
    } else {
      most = B * (T - last) * formula.sizes.spikes + anchors(formula.sizes, T) * S + at(formula, "P", last, B);
    }
    return T * formula.sizes.input * B + most;
  }

  // The peak in segments that the algorithm chooses itself: as it was counted for that T, if it was, or by formula.
  const counted = (formula, T) => formula.counted && formula.counted[T];
  function own(formula, T, B) {
    const lines = counted(formula, T);
    return lines ? peakOf(lines, B) : peak(formula, lengths(formula, T), B);
  }

  // MACs, multiplications or traffic of a training step in these segments.
  function amount(formula, which, parts, B) {
    const terms = [1, sum(parts), again(formula, parts), parts.length];
    const [fixed, perSample] = formula[which].map((c) => sum(c.map((value, i) => value * terms[i])));
    return fixed + perSample * B;
  }

  // The largest n in 1..most with need(n) <= live; need rises except for dips, where more segments are taken.
  function largest(need, live, most) {
    let best = 0;
    for (let n = 1; n <= most; n += Math.max(1, Math.floor(n / 50))) {
      if (need(n) <= live) best = n;
      else if (need(n) > 1.5 * live) break;
    }
    while (best < most && need(best + 1) <= live) best += 1;
    return best;
  }

  // The fewest segments that cover T steps within `live` bytes, the last (not recomputed) as long as possible; null if none fit.
  function segmentsWithin(formula, T, B, live) {
    const S = formula.sizes.state * B, free = live - T * formula.sizes.input * B;
    const longest = (piece, room) => {
      let K = 0;
      while (K < T && at(formula, piece, K + 1, B) <= room) K += 1;
      return K;
    };
    if (peak(formula, [T], B) <= live) return [T];
    const earlier = [];
    let last = 0;
    for (;;) {
      last = Math.min(T, longest("G", free - earlier.length * S));
      if (last < 1) return null;
      if (sum(earlier) + last >= T) break;
      const K = longest("M", free - earlier.length * S);
      if (K < 1) return null;
      earlier.push(K);
    }
    let left = T - last;
    const parts = earlier.map((K) => {
      const taken = Math.min(K, left);
      left -= taken;
      return taken;
    });
    return [...parts.filter((K) => K > 0), last];
  }

  return { lengths, again, peak, counted, own, amount, largest, segmentsWithin, sum };
})();
if (typeof module !== "undefined") module.exports = Calculator;
