// Runs: the table, the pictures of it, one run, and runs side by side.
"use strict";
{
  const { html, useState, useMemo, useEffect, useRef, useAnswer, useRoute, Table, Columns, arranged, short, Shown, Empty, Facts,
    ItemLink, Status, Time, Curves, Scatter, Parallel, href, go, amend, shown, counted, duration, remember, remembered } = lakefolio;
  const LABELS = { name: "run", run_id: "run id", started_at: "started", duration_s: "took", git_commit: "commit", error_type: "error", input_count: "inputs", output_count: "outputs" };
  const HIDDEN = new Set(["run_id", "description", "parent", "git_commit", "host", "version", "input_count", "output_count"]);

  /** Leave out at first: ids, and columns whose values are all alike. */
  function firstColumns(columns) {
    const names = columns.some(one => one.name === "name");
    return columns.filter(one => (one.name === "run_id" && !names) || (!HIDDEN.has(one.name)
      && (["name", "status", "started_at"].includes(one.name) || one.values.length < 2 || one.values.some(v => v !== one.values[0])))).slice(0, 24);
  }

  function Runs() {
    const answer = useAnswer("runs", {});
    return html`<${Shown} of=${answer}>${data => data.rows ? html`<${RunTable} data=${data}/>`
      : html`<${Empty} title="No runs yet"><p>A run records who made what from what, with parameters and metrics:</p>
        <pre>with lake.run("train", params={"lr": 0.01}) as run:
    run.log(auc=0.93)</pre></${Empty}>`}</${Shown}>`;
  }

  /** Call runs that have no name by their id. */
  function called({ columns, ...rest }) {
    const ids = columns.find(one => one.name === "run_id").values;
    return { ...rest, columns: columns.map(one => one.name === "name" ? { ...one, values: one.values.map((name, row) => name || ids[row]) } : one) };
  }

  /** Show another value of each metric than the last one. */
  function measured({ columns, ...rest }, measures) {
    if (!measures) return { columns, ...rest };
    const ids = columns.find(one => one.name === "run_id").values;
    return { ...rest, columns: columns.map(one => one.name.startsWith("metrics.") ? { ...one, values: one.values.map((value, row) => measures[ids[row]]?.[short(one.name)] ?? value) } : one) };
  }

  /** Order rows as a tree: children below their parents, families where the first of their members stood. */
  function nested(order, by) {
    const depths = new Map(), parents = by.parent?.values, ids = by.run_id.values;
    if (!parents) return { order, depths };
    const places = new Map(order.map(row => [ids[row], row])), below = new Map(), families = [], seen = new Set();
    const above = row => parents[row] && parents[row] !== ids[row] ? places.get(parents[row]) : undefined;
    for (const row of order) {
      let at = row, up = above(at);
      const way = new Set([row]);
      while (up !== undefined && !way.has(up)) {
        if (!seen.has(at)) { seen.add(at); (below.get(up) || below.set(up, []).get(up)).push(at); }
        way.add(up); at = up; up = above(at);
      }
      if (!seen.has(at)) { seen.add(at); families.push(at); }
    }
    const found = [], waiting = families.reverse().map(row => [row, 0]);
    while (waiting.length) {
      const [row, depth] = waiting.pop();
      if (depths.has(row)) continue;
      depths.set(row, depth);
      found.push(row);
      for (const one of [...(below.get(row) || [])].reverse()) waiting.push([one, depth + 1]);
    }
    return { order: found, depths };
  }

  function RunTable({ data: given }) {
    const { params } = useRoute(), of = params.of || "", measures = useAnswer("measures", { of }, !of);
    const data = useMemo(() => measured(called(given), of ? measures.data : null), [given, of, measures.data]);
    const view = params.view || "table", text = params.q || "", sort = params.sort ?? "";
    const [names, setNames] = useState(() => remember("runs.columns")), [chosen, setChosen] = useState(new Set()), [only, setOnly] = useState(null);
    const by = Object.fromEntries(data.columns.map(one => [one.name, one]));
    const nameOf = row => by.name?.values[row] || by.run_id.values[row];
    const open = row => go("run", { id: by.run_id.values[row] });
    const depths = useRef(new Map());
    const indent = useMemo(() => {
      const depth = Math.max(0, ...new Set(nested(Array.from({ length: data.rows }, (_, row) => row), by).depths.values()));
      return depth && 14 * Math.min(depth, 8) + 16;
    }, [data]);
    const columns = useMemo(() => data.columns.map(one => one.name === "status" ? { ...one, cell: v => html`<${Status} status=${v}/>` }
      : one.name === "name" || one.name === "run_id" ? { ...one, label: LABELS[one.name], indent: one.name === "name" ? indent : 0,
        cell: (_, row) => html`<a class=${one.name === "name" && depths.current.get(row) ? "nested" : ""} style=${one.name === "name" ? { marginLeft: `${14 * Math.min(depths.current.get(row) || 0, 8)}px` } : undefined} href=${href("run", { id: by.run_id.values[row] })}>${one.name === "name" ? nameOf(row) : one.values[row]}</a>` } : { ...one, label: LABELS[one.name] }), [data]);
    const first = useMemo(() => firstColumns(columns), [columns]);
    const picked = names ? columns.filter(one => names.includes(one.name)) : first;
    const shownColumns = useMemo(() => picked.length ? picked : first, [columns, names]);
    useEffect(() => { setChosen(new Set()); setOnly(null); }, [data]);
    const order = useMemo(() => {
      const began = performance.now(), found = arranged(data.columns, data.rows, text, sort);
      const tree = nested(only ? found.filter(row => only.has(row)) : found, by);
      depths.current = tree.depths;
      lakefolio.arrangedIn = performance.now() - began;
      return tree.order;
    }, [data, text, sort, only]);
    const select = row => { const next = new Set(chosen); next.delete(row) || next.add(row); setChosen(next); };
    const compared = [...chosen].slice(0, 20).map(row => by.run_id.values[row]).join("\n");
    return html`<div class="whole">
      <div class="tools">
        <input class="filter" type="search" value=${text} onInput=${e => amend({ q: e.target.value })} placeholder="filter: rf  project:churn  auc>0.9" aria-label="filter runs"/>
        <span class="muted" role="status">${counted(order.length, "run")}${order.length < data.rows ? ` of ${data.rows.toLocaleString("en-US")}` : ""}${data.total > data.rows ? `, the newest of ${data.total.toLocaleString("en-US")}` : ""}</span>
        ${only && html`<button type="button" onClick=${() => setOnly(null)}>all runs</button>`}
        ${data.columns.some(one => one.name.startsWith("metrics.")) && html`<label class="pick">metrics <select value=${of} onChange=${e => amend({ of: e.target.value })}><option value="">last</option><option value="best">best</option><option value="min">min</option><option value="max">max</option></select></label>`}
        <span class="tabs" role="group" aria-label="view">${["table", "scatter", "parallel"].map(one => html`<button type="button" aria-pressed=${view === one} onClick=${() => amend({ view: one === "table" ? "" : one })}>${one}</button>`)}</span>
        ${view === "table" && html`<${Columns} columns=${columns} shownNames=${new Set(shownColumns.map(one => one.name))}
          onChange=${all => { setNames(all); remembered("runs.columns", all); }}/>`}
        <a class=${"button" + (chosen.size ? " primary" : "")} aria-disabled=${!chosen.size} href=${chosen.size ? href("compare", { runs: compared }) : undefined}>Compare${chosen.size ? ` ${Math.min(chosen.size, 20)}` : ""}</a>
      </div>
      ${view === "scatter" ? html`<${Scatter} columns=${data.columns} rows=${order} nameOf=${nameOf} onOpen=${open}/>`
        : view === "parallel" ? html`<${Parallel} columns=${data.columns} rows=${order} onFilter=${set => { setOnly(set); amend({ view: "" }); }}/>`
        : order.length ? html`<${Table} columns=${shownColumns} order=${order} sort=${sort} onSort=${name => amend({ sort: name })} onOpen=${open} selected=${chosen} onSelect=${select} nameOf=${nameOf} label="runs"/>`
        : html`<${Empty} title="No run matches"><p>The filter leaves none of ${counted(data.rows, "run")}.</p></${Empty}>`}
    </div>`;
  }

  // -- curves of some runs, with their controls ---------------------------------------------------------------

  function RunCurves({ runs, names }) {
    const [log, setLog] = useState(false), [smoothing, setSmoothing] = useState(0), [axis, setAxis] = useState("step"), [span, setSpan] = useState([null, null]);
    const answer = useAnswer("curves", { runs: runs.join("\n"), x: axis === "time" ? "time" : "", from: span[0], to: span[1] }, !runs.length);
    const colours = Object.fromEntries(runs.map((run, i) => [run, i]));
    return html`<section><h2>Curves</h2><${Shown} of=${answer}>${data => !Object.keys(data).length && span[0] === null
      ? html`<p class="muted">No metric has more than one point: <code>run.log(loss=0.3, step=1)</code> makes curves.</p>`
      : html`<div><div class="tools">
          <label>smoothing <input type="range" min="0" max="0.99" step="0.01" value=${smoothing} onInput=${e => setSmoothing(Number(e.target.value))}/> <output>${smoothing.toFixed(2)}</output></label>
          <label><input type="checkbox" checked=${log} onChange=${e => setLog(e.target.checked)}/> log scale</label>
          <label class="pick">x <select value=${axis} onChange=${e => { setAxis(e.target.value); setSpan([null, null]); }}><option value="step">step</option><option value="time">seconds</option></select></label>
          ${span[0] !== null ? html`<button type="button" onClick=${() => setSpan([null, null])}>whole range</button>` : html`<span class="muted">drag to zoom, double-click for the whole range</span>`}</div>
        <div class="plots">${Object.entries(data).map(([metric, curves]) => html`<${Curves} key=${metric} title=${metric} curves=${curves} names=${names} colours=${colours}
          log=${log} smoothing=${smoothing} axis=${axis} onZoom=${(a, b) => setSpan([a, b])}/>`)}</div></div>`}</${Shown}></section>`;
  }

  // -- one run ------------------------------------------------------------------------------------------------

  function refLink(ref) {
    const match = /^([^:]+):(.+?)(?:@(\d+))?$/.exec(ref || "");
    return match && !/^\w+:\/\//.test(ref) ? html`<${ItemLink} folio=${match[1]} item=${match[2]} version=${match[3]}/>` : ref;
  }
  const Pairs = ({ title, of }) => Object.keys(of || {}).length > 0 && html`<section><h2>${title}</h2><dl class="facts pairs">
    ${Object.entries(of).map(([name, value]) => html`<dt>${name}</dt><dd class=${typeof value === "number" ? "numeric" : ""}>${shown(value)}</dd>`)}</dl></section>`;
  const Refs = ({ title, of }) => html`<section><h2>${title} <small>${of.length || ""}</small></h2>${of.length ? html`<ul class="plain">${of.map(one => html`<li><span class="muted">${one.name}</span> ${refLink(one.ref)}</li>`)}</ul>` : html`<p class="muted">none</p>`}</section>`;

  function Run() {
    const { params } = useRoute(), answer = useAnswer("run", { id: params.id });
    return html`<${Shown} of=${answer}>${run => html`<article>
      <header><h1>${run.name || run.run_id} <${Status} status=${run.status}/></h1>${run.description && html`<p>${run.description}</p>`}
        ${run.tags.length > 0 && html`<p>${run.tags.map(tag => html`<span class="tag">${tag}</span>`)}</p>`}</header>
      <${Facts} rows=${[["run id", html`<code>${run.run_id}</code>`], ["type", run.type], ["project", run.project], ["model", run.model],
        ["started", run.started_at && html`<${Time} at=${run.started_at}/>`], ["took", run.duration_s != null && duration(run.duration_s)], ["author", run.author],
        ["host", run.host], ["command", run.command && html`<code>${run.command}</code>`],
        ["code", run.git_commit && html`<code>${run.git_commit.slice(0, 12)}${run.git_branch ? ` (${run.git_branch})` : ""}${run.git_dirty ? ", with changes" : ""}</code>`],
        ["parent", run.parent && html`<a href=${href("run", { id: run.parent })}>${run.names[run.parent] || run.parent}</a>`],
        ["children", run.children.length > 0 && html`${run.children.slice(0, 50).map((id, i) => html`${i ? ", " : ""}<a href=${href("run", { id })}>${run.names[id] || id}</a>`)}${run.children.length > 50 ? ` and ${run.children.length - 50} more` : ""}`],
        ["python", run.python && `${run.python}, ${Object.keys(run.packages).length} packages`]]}/>
      ${run.error && html`<section><h2>Error <small>${run.error_type}</small></h2><pre class="error">${run.error}</pre></section>`}
      <div class="columns"><${Pairs} title="Metrics" of=${run.metrics}/><${Pairs} title="Parameters" of=${run.params}/>
        <${Refs} title="Inputs" of=${run.inputs}/><${Refs} title="Outputs" of=${run.outputs}/><${Pairs} title="Metadata" of=${run.metadata}/></div>
      <${RunCurves} runs=${[run.run_id]} names=${{ [run.run_id]: run.name || run.run_id }}/>
    </article>`}</${Shown}>`;
  }

  // -- side by side -------------------------------------------------------------------------------------------

  function Compare() {
    const { params } = useRoute(), ids = (params.runs || "").split("\n").filter(Boolean), answer = useAnswer("runs", {}, !ids.length);
    const [all, setAll] = useState(false);
    if (!ids.length) return html`<${Empty} title="Nothing to compare"><p>Choose runs in <a href=${href("runs")}>the table of runs</a>, then press Compare.</p></${Empty}>`;
    return html`<${Shown} of=${answer}>${data => {
      const by = Object.fromEntries(data.columns.map(one => [one.name, one]));
      const rows = ids.map(id => by.run_id?.values.indexOf(id) ?? -1), known = ids.filter((_, i) => rows[i] >= 0), at = rows.filter(row => row >= 0);
      const given = known.map((id, i) => by.name?.values[at[i]] || id);
      const names = Object.fromEntries(known.map((id, i) => [id, given.filter(one => one === given[i]).length > 1 ? `${given[i]} ${id.slice(-4)}` : given[i]]));
      const seen = (one, row) => {
        const above = one.name === "parent" ? by.run_id.values.indexOf(one.values[row]) : -1;
        return (above >= 0 && by.name?.values[above]) || shown(one.values[row], one.type, one.name);
      };
      const differs = one => at.some(row => one.values[row] !== one.values[at[0]]);
      const said = data.columns.filter(one => !["run_id", "name"].includes(one.name) && at.some(row => one.values[row] != null && one.values[row] !== ""));
      const listed = all || at.length < 2 ? said : said.filter(differs);
      return html`<article><header><h1>${counted(at.length, "run")} side by side</h1></header>
        ${at.length < ids.length && html`<p class="failed" role="alert">${counted(ids.length - at.length, "run")} of ${ids.length} not found among those listed</p>`}
        ${known.length > 0 && html`<${RunCurves} runs=${known} names=${names}/>`}
        <section><h2>Values</h2><p class="tools"><label><input type="checkbox" checked=${all} onChange=${e => setAll(e.target.checked)}/> also equal values</label>
          <span class="muted">${listed.length} of ${said.length} rows</span></p>
        <div class="scroll"><table class="beside"><thead><tr><th scope="col"></th>${known.map((id, i) => html`<th scope="col"><i class="swatch" style=${{ background: lakefolio.colour(i) }}/><a href=${href("run", { id })}>${names[id]}</a>
            <button type="button" class="quiet" aria-label=${`leave ${names[id]} out`} onClick=${() => amend({ runs: ids.filter(one => one !== id).join("\n") })}>×</button></th>`)}</tr></thead>
          <tbody>${listed.map(one => html`<tr class=${differs(one) ? "differs" : ""}><th scope="row">${/^(params|metrics)\./.test(one.name) && html`<small>${one.name.startsWith("p") ? "param" : "metric"}</small> `}${LABELS[one.name] || short(one.name)}</th>
            ${at.map(row => html`<td>${one.name === "status" ? html`<${Status} status=${one.values[row]}/>` : seen(one, row) || html`<span class="muted">–</span>`}</td>`)}</tr>`)}</tbody></table></div></section>
      </article>`;
    }}</${Shown}>`;
  }

  Object.assign(lakefolio, { Runs, Run, Compare, refLink, RunCurves });
}
