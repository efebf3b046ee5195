// Pictures of numbers: curves (uPlot), scatter, parallel coordinates, histograms, pixels.
"use strict";
{
  const { html, useState, useEffect, useLayoutEffect, useRef, useMemo, useWidth, number, shown, counted, short } = lakefolio;
  const COLOURS = ["#3b82f6", "#f59e0b", "#10b981", "#ef4444", "#8b5cf6", "#06b6d4", "#ec4899", "#84cc16"];
  const STOPS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
  const colour = i => COLOURS[i % COLOURS.length];
  const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  /** Return a colour of a scale from dark blue to yellow, for 0 to 1. */
  function scaled(t, dark, alpha = 1) {
    const stops = dark ? [[126, 96, 214], ...STOPS.slice(1)] : STOPS; // the darkest is not seen on black
    const x = Math.max(0, Math.min(0.9999, t)) * (stops.length - 1), i = Math.floor(x), f = x - i;
    const [r, g, b] = stops[i].map((one, k) => Math.round(one + (stops[i + 1][k] - one) * f));
    return `rgba(${r},${g},${b},${alpha})`;
  }
  /** Draw again when the colours of the system change. */
  function useScheme() {
    const [dark, set] = useState(() => matchMedia("(prefers-color-scheme: dark)").matches);
    useEffect(() => {
      const media = matchMedia("(prefers-color-scheme: dark)"), changed = () => set(media.matches);
      media.addEventListener("change", changed);
      return () => media.removeEventListener("change", changed);
    }, []);
    return dark;
  }

  // -- curves ------------------------------------------------------------------------------------------------

  /** Exponential moving average, weighted by the distance of points, so that it looks the same at any density. */
  function smoothed(x, y, weight) {
    if (!weight || y.length < 2) return y;
    const unit = (x[x.length - 1] - x[0]) / 1000 || 1;
    let last = 0, total = 0;
    return y.map((value, i) => {
      const keep = i ? Math.pow(weight, Math.max((x[i] - x[i - 1]) / unit, 1e-9)) : 0;
      last = last * keep + value * (1 - keep);
      total = total * keep + (1 - keep);
      return last / total;
    });
  }

  /**
   * curves: run -> {x, y, low?, high?}; names: run -> label; colours: run -> number; log, smoothing; onZoom(from, to),
   * with nulls for everything; axis: "step" or "time".
   */
  function Curves({ title, note, curves, names, colours, log, smoothing, onZoom, axis, height = 220 }) {
    const [holder, width] = useWidth(400), plot = useRef(null), legend = useRef(null), dark = useScheme();
    const runs = Object.keys(curves).filter(run => curves[run].x.length);
    const built = useMemo(() => {
      const tables = [], series = [{}], bands = [], lines = [];
      for (const run of runs) {
        const { x, y, low, high } = curves[run], tint = colour(colours[run]);
        const line = smoothed(x, y, smoothing), table = [x, line];
        const at = series.length;
        lines.push({ run, at });
        series.push({ label: names[run], stroke: tint, width: 1.5, spanGaps: true, points: { show: x.length < 2 } });
        const faint = { stroke: tint + "60", width: 0.5, spanGaps: true, points: { show: false } };
        if (low) {
          table.push(high, low);
          series.push(faint, { ...faint });
          bands.push({ series: [at + 1, at + 2], fill: tint + (smoothing ? "26" : "38") });
        } else if (smoothing) {
          table.push(y);
          series.push({ ...faint, stroke: tint + "55", width: 1 });
        }
        tables.push(table);
      }
      const positive = log ? tables.map(t => [t[0], ...t.slice(1).map(v => v.map(one => one > 0 ? one : null))]) : tables;
      return { data: positive.length > 1 ? uPlot.join(positive) : positive[0] || [[]], series, bands, lines };
    }, [curves, smoothing, log, JSON.stringify(names)]);
    useLayoutEffect(() => {
      if (!runs.length) return;
      const grid = { stroke: css("--line"), width: 1 }, stroke = css("--muted"), font = "11px system-ui, sans-serif";
      const told = u => {
        const i = u.cursor.idx;
        [...legend.current.querySelectorAll("[data-at]")].forEach(cell => {
          const values = u.data[cell.dataset.at];
          let at = i;
          // between points of other curves: the nearest before
          while (at != null && at > 0 && values[at] == null) at--;
          cell.textContent = at == null || values[at] == null ? "" : number(values[at]);
        });
        legend.current.querySelector("[data-x]").textContent = i == null ? "" : `${axis === "time" ? "s" : "step"} ${number(u.data[0][i])}`;
      };
      const chart = new uPlot({
        width: Math.max(width, 120), height, series: built.series, bands: built.bands, legend: { show: false },
        scales: { x: { time: false }, y: { distr: log ? 3 : 1 } },
        axes: [{ stroke, grid, ticks: grid, font, size: 28, gap: 3 }, { stroke, grid, ticks: grid, font, size: 58, gap: 4, values: (u, all) => all.map(v => v == null ? "" : number(v)) }],
        cursor: { sync: { key: "curves-" + axis }, drag: { x: true, y: false }, points: { size: 6 } },
        hooks: {
          setCursor: [told],
          setSelect: [u => {
            if (u.select.width < 4) return;
            onZoom?.(u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x"));
            u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          }],
        },
      }, built.data, plot.current);
      plot.current.addEventListener("dblclick", () => onZoom?.(null, null));
      return () => chart.destroy();
    }, [built, width, log, axis, dark]);
    const total = runs.reduce((sum, run) => sum + (curves[run].points || 0), 0);
    return html`<figure class="plot" ref=${holder}>
      <figcaption><b>${title}</b> <small>${note || counted(total, "point")}</small></figcaption>
      <div ref=${plot} role="img" aria-label=${`curve of ${title} for ${runs.map(run => names[run]).join(", ")}`}/>
      <ul class="legend" ref=${legend}>${built.lines.map(({ run, at }) => html`<li key=${run}>
        <i style=${{ background: colour(colours[run]) }}/>${names[run]} <output data-at=${at}></output></li>`)}
        <li class="muted" data-x></li></ul>
    </figure>`;
  }

  // -- scatter and parallel coordinates ------------------------------------------------------------------------

  /** Map a column to numbers; texts become the positions of their sorted values. */
  function axisOf(column, rows, log) {
    const texts = rows.some(row => typeof column.values[row] === "string") && column.type !== "number";
    if (texts) {
      const order = [...new Set(rows.map(row => column.values[row]).filter(one => one != null))].sort();
      const at = new Map(order.map((one, i) => [one, i]));
      return { of: row => at.get(column.values[row]) ?? null, low: 0, high: Math.max(order.length - 1, 1), texts: order };
    }
    const raw = row => (typeof column.values[row] === "number" ? column.values[row] : null);
    const of = log ? row => { const v = raw(row); return v > 0 ? Math.log10(v) : null; } : raw;
    let low = Infinity, high = -Infinity;
    for (const row of rows) { const v = of(row); if (v !== null) { if (v < low) low = v; if (v > high) high = v; } }
    if (low > high) [low, high] = [0, 1];
    if (low === high) [low, high] = [low - 0.5, high + 0.5];
    return { of, low, high, log };
  }
  function ticks(axis, many, column) {
    if (axis.texts) return axis.texts.map((text, i) => [i, String(text)]).filter((_, i) => i % Math.ceil(axis.texts.length / 12) === 0);
    const span = axis.high - axis.low, rough = span / many, size = Math.pow(10, Math.floor(Math.log10(rough)));
    const step = [1, 2, 5, 10].map(k => k * size).find(k => k >= rough), found = [];
    for (let v = Math.ceil(axis.low / step) * step; v <= axis.high + step * 1e-9; v += step) {
      found.push([v, axis.log ? number(Number(Math.pow(10, v).toPrecision(3))) : shown(Number(v.toPrecision(12)), column.type, column.name)]);
    }
    return found;
  }
  function canvasOf(ref, width, height) {
    const canvas = ref.current, ratio = devicePixelRatio || 1, pen = canvas.getContext("2d");
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    pen.scale(ratio, ratio);
    pen.font = "11px system-ui, sans-serif";
    return pen;
  }
  const Pick = ({ label, columns, value, onChange, none }) => html`<label class="pick">${label}
    <select value=${value} onChange=${e => onChange(e.target.value)}>${none && html`<option value="">${none}</option>`}
    ${columns.map(one => html`<option value=${one.name}>${one.name}</option>`)}</select></label>`;

  /** Return the height, in pixels, that a plot may take below the tools of a page; it stays, as ranges are kept in pixels. */
  const roomBelow = () => Math.max(360, innerHeight - 240);

  /** Say whether a column is seen best on a log scale: all of it positive, over three powers of ten. */
  function wide(column) {
    const values = (column?.type === "number" ? column.values : []).filter(one => typeof one === "number").sort((a, b) => a - b);
    return values.length > 2 && values[0] > 0 && values[values.length - 1] / values[0] >= 1000 && !values.every(Number.isInteger);
  }

  /** Choose a parameter and a metric to begin with: those that most runs have both of, and that differ most. */
  function firstAxes(numeric) {
    const has = one => one.values.reduce((sum, value) => sum + (value != null), 0);
    const of = group => numeric.filter(one => one.name.startsWith(group)).map(one => ({ one, many: has(one) })).sort((a, b) => b.many - a.many).slice(0, 20).map(({ one }) => one);
    let best = [(of("params.")[0] || numeric[0])?.name, (of("metrics.")[0] || numeric[1] || numeric[0])?.name], most = 0;
    for (const x of of("params.")) for (const y of of("metrics.")) {
      const seen = new Set(), found = new Set();
      let both = 0;
      x.values.forEach((value, row) => { if (value != null && y.values[row] != null) { both++; seen.add(value); found.add(y.values[row]); } });
      const worth = seen.size > 1 && found.size > 1 ? both + Math.min(seen.size, 13) : 0;
      if (worth > most) { most = worth; best = [x.name, y.name]; }
    }
    return best;
  }

  function Scatter({ columns, rows, nameOf, onOpen }) {
    const numeric = columns.filter(one => one.type === "number" || one.type === "time");
    const first = useMemo(() => firstAxes(numeric), []), [x, setX] = useState(first[0]), [y, setY] = useState(first[1]);
    const [by, setBy] = useState("");
    const [logX, setLogX] = useState(() => wide(columns.find(one => one.name === x))), [logY, setLogY] = useState(false), [near, setNear] = useState(null);
    const [holder, width] = useWidth(600), canvas = useRef(null), dots = useRef([]), dark = useScheme();
    const [room] = useState(roomBelow), height = Math.max(260, Math.min(room, width * 0.6));
    const find = name => columns.find(one => one.name === name);
    useLayoutEffect(() => {
      if (!find(x) || !find(y)) return;
      const pen = canvasOf(canvas, width, height);
      const ax = axisOf(find(x), rows, logX), ay = axisOf(find(y), rows, logY), left = 64, bottom = height - 30, right = width - 12, up = 10;
      const tint = by && find(by) ? axisOf(find(by), rows) : null;
      const pad = 8; // so that the dots of the extremes are whole
      const px = v => left + pad + (v - ax.low) / (ax.high - ax.low) * (right - left - 2 * pad), py = v => bottom - pad - (v - ay.low) / (ay.high - ay.low) * (bottom - up - 2 * pad);
      pen.strokeStyle = css("--line");
      pen.fillStyle = css("--muted");
      pen.beginPath();
      for (const [v, text] of ticks(ax, Math.max(2, width / 110), find(x))) {
        pen.moveTo(px(v), up); pen.lineTo(px(v), bottom);
        pen.textAlign = "center";
        pen.fillText(text.slice(0, 16), px(v), bottom + 16);
      }
      for (const [v, text] of ticks(ay, 6, find(y))) {
        pen.moveTo(left, py(v)); pen.lineTo(right, py(v));
        pen.textAlign = "right";
        pen.fillText(text.slice(0, 11), left - 6, py(v) + 4);
      }
      pen.stroke();
      dots.current = [];
      pen.globalAlpha = rows.length > 2000 ? 0.5 : 0.8;
      pen.fillStyle = colour(0);
      const size = rows.length > 2000 ? 3 : 5;
      for (const row of rows) {
        const vx = ax.of(row), vy = ay.of(row);
        if (vx === null || vy === null) continue;
        if (tint) {
          const t = tint.of(row);
          pen.fillStyle = t === null ? css("--muted") : tint.texts ? colour(t) : scaled((t - tint.low) / (tint.high - tint.low), dark);
        }
        const at = [px(vx), py(vy), row];
        dots.current.push(at);
        pen.fillRect(at[0] - size / 2, at[1] - size / 2, size, size);
      }
    }, [columns, rows, x, y, by, logX, logY, width, height, dark]);
    function over(event) {
      const { left, top } = canvas.current.getBoundingClientRect(), mx = event.clientX - left, my = event.clientY - top;
      let best = null, far = 144;
      for (const dot of dots.current) {
        const d = (dot[0] - mx) ** 2 + (dot[1] - my) ** 2;
        if (d < far) { far = d; best = dot; }
      }
      setNear(best);
    }
    if (numeric.length < 2) return html`<p class="muted">A scatter needs two columns of numbers.</p>`;
    const drawable = (name, log) => { const one = find(name); return one ? axisOf(one, rows, log).of : () => null; }, ofX = drawable(x, logX), ofY = drawable(y, logY);
    const drawn = rows.reduce((sum, row) => sum + (ofX(row) !== null && ofY(row) !== null), 0);
    const told = near && [x, y, by].filter(Boolean).map(find).filter(Boolean).map(one => `${short(one.name)} ${shown(one.values[near[2]], one.type, one.name)}`).join(", ");
    return html`<div><p class="tools">
        <${Pick} label="x" columns=${columns} value=${x} onChange=${setX}/><label><input type="checkbox" checked=${logX} onChange=${e => setLogX(e.target.checked)}/> log</label>
        <${Pick} label="y" columns=${columns} value=${y} onChange=${setY}/><label><input type="checkbox" checked=${logY} onChange=${e => setLogY(e.target.checked)}/> log</label>
        <${Pick} label="colour" columns=${columns} value=${by} onChange=${setBy} none="none"/>
        <span class="muted" role="status">${drawn === rows.length ? "" : drawn ? `${number(drawn)} of ${counted(rows.length, "run")} have both` : "no run has both: choose other columns"}</span></p>
      <div class="plot" ref=${holder}>
        <canvas ref=${canvas} style=${{ width: width + "px", height: height + "px" }} onMouseMove=${over} onMouseLeave=${() => setNear(null)}
          onClick=${() => near && onOpen(near[2])} role="img" aria-label=${`scatter of ${y} over ${x}, ${counted(drawn, "run")}`}/>
        ${near && html`<div class="tip" style=${{ left: Math.min(near[0] + 10, width - 180) + "px", top: near[1] + 12 + "px" }}><b>${nameOf(near[2])}</b><br/>${told}</div>`}
      </div></div>`;
  }

  const LABEL = 8; // characters
  const fallingName = (a, b) => b.name < a.name ? -1 : 1;

  function Parallel({ columns, rows, onFilter }) {
    const usable = useMemo(() => columns.filter(one => /^(params|metrics)\./.test(one.name) && new Set(rows.map(row => one.values[row]).filter(v => v != null)).size > 1).sort(fallingName), [columns, rows]);
    // those that most runs have come first
    const first = useMemo(() => usable.map(one => ({ one, many: rows.filter(row => one.values[row] != null).length })).sort((a, b) => b.many - a.many).slice(0, 8).map(({ one }) => one).sort(fallingName), [usable, rows]);
    const [names, setNames] = useState(null), [brushes, setBrushes] = useState({});
    const [holder, width] = useWidth(700), canvas = useRef(null), drag = useRef(null), dark = useScheme();
    const chosen = (names ? columns.filter(one => names.has(one.name)) : first);
    const [height] = useState(roomBelow), up = 34, bottom = height - 16;
    const axes = useMemo(() => chosen.map(one => axisOf(one, rows, wide(one))), [columns, rows, chosen.map(one => one.name).join("\n")]);
    const beside = i => axes[i] ? Math.max(40, 12 + 7 * Math.max(...ticks(axes[i], 5, chosen[i]).map(([, text]) => Math.min(text.length, LABEL)), 0)) : 0; // room for labels
    const left = beside(0), right = width - beside(axes.length - 1);
    const px = i => chosen.length > 1 ? left + i * (right - left) / (chosen.length - 1) : width / 2;
    const py = (axis, v) => bottom - (v - axis.low) / (axis.high - axis.low) * (bottom - up);
    const passes = row => chosen.every((one, i) => {
      const brush = brushes[one.name], v = axes[i].of(row);
      return !brush || (v !== null && py(axes[i], v) >= brush[0] && py(axes[i], v) <= brush[1]);
    });
    const kept = useMemo(() => rows.filter(passes), [rows, brushes, axes, width]);
    useLayoutEffect(() => {
      if (!chosen.length) return;
      const pen = canvasOf(canvas, width, height), tint = axes[axes.length - 1];
      const draw = (row, style) => {
        pen.strokeStyle = style;
        pen.beginPath();
        let on = false;
        axes.forEach((axis, i) => {
          const v = axis.of(row);
          if (v === null) { on = false; return; }
          on ? pen.lineTo(px(i), py(axis, v)) : pen.moveTo(px(i), py(axis, v));
          on = true;
        });
        pen.stroke();
      };
      const brushed = Object.keys(brushes).length > 0, alpha = Math.max(0.08, Math.min(0.7, 150 / kept.length));
      if (brushed) for (const row of rows.slice(0, 2000)) draw(row, css("--line"));
      for (const row of kept) { const t = tint.of(row); draw(row, t === null ? css("--muted") : scaled((t - tint.low) / (tint.high - tint.low), dark, alpha)); }
      axes.forEach((axis, i) => {
        pen.strokeStyle = css("--muted");
        pen.beginPath(); pen.moveTo(px(i), up); pen.lineTo(px(i), bottom); pen.stroke();
        pen.fillStyle = css("--text");
        pen.textAlign = i === 0 ? "left" : i === axes.length - 1 ? "right" : "center";
        pen.fillText(short(chosen[i].name).slice(0, 18) + (axis.log ? " (log)" : ""), i === 0 ? px(i) - 30 : i === axes.length - 1 ? px(i) + 30 : px(i), 14);
        pen.fillStyle = css("--muted");
        pen.textAlign = i === axes.length - 1 ? "left" : "right";
        pen.strokeStyle = css("--back"); // so that lines do not cross out the text
        pen.lineWidth = 3;
        for (const [v, text] of ticks(axis, 5, chosen[i])) {
          const at = [text.slice(0, LABEL), px(i) + (i === axes.length - 1 ? 5 : -5), py(axis, v) + 4];
          pen.strokeText(...at);
          pen.fillText(...at);
        }
        pen.lineWidth = 1;
        const brush = brushes[chosen[i].name];
        if (brush) { pen.fillStyle = css("--accent"); pen.globalAlpha = 0.25; pen.fillRect(px(i) - 7, brush[0], 14, brush[1] - brush[0]); pen.globalAlpha = 1; }
      });
    }, [axes, kept, brushes, width, dark]);
    function where(event) {
      const box = canvas.current.getBoundingClientRect(), x = event.clientX - box.left;
      const i = chosen.map((_, k) => Math.abs(px(k) - x)).reduce((best, d, k, all) => d < all[best] ? k : best, 0);
      return [chosen[i].name, Math.max(up, Math.min(bottom, event.clientY - box.top))];
    }
    const done = () => {
      if (!drag.current) return;
      const { name, from, to } = drag.current, next = { ...brushes };
      if (Math.abs(to - from) < 4) delete next[name]; else next[name] = [Math.min(from, to), Math.max(from, to)];
      drag.current = null;
      setBrushes(next);
    };
    if (!usable.length) return html`<p class="muted">No parameter or metric differs between these runs.</p>`;
    return html`<div><p class="tools"><${lakefolio.Columns} columns=${usable} shownNames=${new Set(chosen.map(one => one.name))} onChange=${all => { setNames(all && new Set(all)); setBrushes({}); }}/>
        <span class="muted">drag along an axis to keep a range; ${number(kept.length)} of ${number(rows.length)} runs</span>
        ${Object.keys(brushes).length > 0 && html`<button type="button" onClick=${() => setBrushes({})}>clear ranges</button>
          <button type="button" onClick=${() => onFilter(new Set(kept))}>show as table</button>`}</p>
      <div class="plot" ref=${holder}><canvas ref=${canvas} class="brush" style=${{ width: width + "px", height: height + "px" }} role="img"
        aria-label=${`parallel coordinates of ${chosen.map((one, i) => one.name + (axes[i].log ? " (log)" : "")).join(", ")}`}
        onPointerDown=${e => { const [name, y] = where(e); drag.current = { name, from: y, to: y }; e.target.setPointerCapture(e.pointerId); }}
        onPointerMove=${e => { if (drag.current) { drag.current.to = Math.max(up, Math.min(bottom, e.clientY - canvas.current.getBoundingClientRect().top)); } }}
        onPointerUp=${done}/></div></div>`;
  }

  // -- small pictures ------------------------------------------------------------------------------------------

  function Histogram({ of, wide = 96, tall = 26, label }) {
    if (!of) return null;
    const most = Math.max(...of.counts, 1), step = wide / of.counts.length;
    return html`<svg class="histogram" width=${wide} height=${tall} role="img" aria-label=${label || `histogram from ${number(of.low)} to ${number(of.high)}`}>
      ${of.counts.map((n, i) => { const h = n ? Math.max(1, n / most * tall) : 0; return html`<rect x=${i * step} y=${tall - h} width=${Math.max(step - 1, 1)} height=${h}/>`; })}</svg>`;
  }
  function Pixels({ of: { width, height, colour: isColour, pixels } }) {
    const canvas = useRef(null);
    useLayoutEffect(() => {
      const raw = atob(pixels), pen = canvas.current.getContext("2d"), image = pen.createImageData(width, height);
      for (let i = 0; i < width * height; i++) {
        if (isColour) for (let k = 0; k < 3; k++) image.data[4 * i + k] = raw.charCodeAt(3 * i + k);
        else {
          const v = raw.charCodeAt(i) / 255 * (STOPS.length - 1.0001), at = Math.floor(v), f = v - at;
          for (let k = 0; k < 3; k++) image.data[4 * i + k] = STOPS[at][k] + (STOPS[at + 1][k] - STOPS[at][k]) * f;
        }
        image.data[4 * i + 3] = 255;
      }
      pen.putImageData(image, 0, 0);
    }, [pixels]);
    const zoom = Math.max(1, Math.floor(320 / Math.max(width, height)));
    return html`<canvas class="pixels" ref=${canvas} width=${width} height=${height} style=${{ width: width * zoom + "px", aspectRatio: `${width} / ${height}` }} role="img" aria-label=${`the array as a picture, ${height} by ${width} cells`}/>`;
  }

  Object.assign(lakefolio, { Curves, Scatter, Parallel, Histogram, Pixels, colour, smoothed });
}
