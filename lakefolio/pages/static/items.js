// Items: the list, and one item with its preview, facts, neighbours and history.
"use strict";
{
  const { html, useState, useMemo, useEffect, useRef, useAnswer, useRoute, Table, Columns, arranged, Shown, Empty, Facts, Failed,
    Waiting, Kind, Time, ItemLink, Histogram, Pixels, href, go, amend, bytes, number, counted, remember, remembered } = lakefolio;
  const FIRST = ["item", "folio", "kind", "size_bytes", "row_count", "version", "committed_at", "description", "tags"];
  const LABELS = { size_bytes: "size", row_count: "rows", committed_at: "changed", run_id: "run" };

  function Items() {
    const { params } = useRoute(), [whole, setWhole] = useState(null);
    // a list that is here as a whole is filtered and sorted here, a longer one by the lake
    const asked = whole === null || whole ? { folio: params.folio, kind: params.kind, all: params.all } : params;
    const answer = useAnswer("items", asked);
    useEffect(() => { if (answer.data && !answer.loading && !params.q) setWhole(answer.data.rows === answer.data.total); }, [answer.data]);
    const [text, setText] = useState(params.q || ""), timer = useRef(0);
    function filter(value) {
      setText(value);
      clearTimeout(timer.current);
      timer.current = setTimeout(() => amend({ q: value }), whole === false ? 250 : 0);
    }
    return html`<${Shown} of=${answer}>${data => !data.rows && !params.folio && !params.kind && !params.q && !data.hidden
      ? html`<${Empty} title="No items yet"><p>Add the first:</p><pre>lake.folio("experiments/first").add("config", {"lr": 0.01})</pre></${Empty}>`
      : html`<${ItemTable} data=${data} text=${text} onFilter=${filter} local=${data.rows === data.total}/>`}</${Shown}>`;
  }

  function ItemTable({ data, text, onFilter, local }) {
    const { params } = useRoute(), sort = params.sort ?? "", [names, setNames] = useState(() => remember("items.columns"));
    const by = Object.fromEntries(data.columns.map(one => [one.name, one]));
    const refOf = row => `${by.folio.values[row]}:${by.item.values[row]}`;
    const columns = useMemo(() => {
      const made = data.columns.map(one => ({ ...one, label: LABELS[one.name], cell: one.name === "kind" ? v => html`<${Kind} kind=${v}/>`
        : one.name === "item" ? (v, row) => html`<a href=${href("item", { ref: refOf(row) })}>${v}</a>`
        : one.name === "folio" ? v => html`<a class="muted" href=${href("items", { folio: v })}>${v}</a>` : undefined }));
      return [...FIRST.map(name => made.find(one => one.name === name)), ...made.filter(one => !FIRST.includes(one.name))];
    }, [data]);
    const first = useMemo(() => columns.filter(one => FIRST.includes(one.name) && (!["tags", "description", "row_count"].includes(one.name) || one.values.some(v => v != null && v !== ""))), [columns]);
    const picked = useMemo(() => names ? columns.filter(one => names.includes(one.name)) : first, [columns, names]);
    const order = useMemo(() => arranged(data.columns, data.rows, local ? text : "", local ? sort : ""), [data, text, sort, local]);
    const choose = (name, list, word) => html`<select aria-label=${word} value=${params[name] || ""} onChange=${e => amend({ [name]: e.target.value })}>
      <option value="">every ${word}</option>${params[name] && !list.some(([one]) => one === params[name]) && html`<option value=${params[name]}>${params[name]}</option>`}
      ${list.map(([one, count]) => html`<option value=${one}>${one}${count == null ? "" : ` (${number(count)})`}</option>`)}</select>`;
    return html`<div class="whole"><div class="tools">
        <input class="filter" type="search" value=${text} onInput=${e => onFilter(e.target.value)} placeholder=${local ? "filter: raw  kind:table  size_bytes>1e6" : "filter by name, description, tag"} aria-label="filter items"/>
        ${choose("folio", data.folios, "folio")}${choose("kind", data.kinds, "kind")}
        ${(data.hidden > 0 || params.all) && html`<label><input type="checkbox" checked=${Boolean(params.all)} onChange=${e => amend({ all: e.target.checked ? "1" : "" })}/> also those of runs and records</label>`}
        <span class="muted" role="status">${data.total == null ? `the first ${counted(data.rows, "item")} of ${number(data.folios.length)} folios: choose one, or filter`
          : `${local && order.length < data.rows ? `${number(order.length)} of ` : ""}${counted(data.total, "item")}${local ? "" : `, the first ${number(data.rows)} shown`}`}</span>
        <${Columns} columns=${columns} shownNames=${new Set(picked.map(one => one.name))} onChange=${all => { setNames(all); remembered("items.columns", all); }}/></div>
      ${order.length ? html`<${Table} columns=${picked} order=${order} sort=${sort} onSort=${name => amend({ sort: name })} onOpen=${row => go("item", { ref: refOf(row) })} label="items"/>`
        : html`<${Empty} title="No item matches"><p>${data.hidden && !params.folio && !params.kind && !text ? `${counted(data.hidden, "folio")} of runs and records are not listed.` : "Loosen the filter, or choose another folio or kind."}</p></${Empty}>`}</div>`;
  }

  // -- previews ------------------------------------------------------------------------------------------------

  function Json({ value, name, open }) {
    const label = name !== undefined && html`<span class="key">${name}</span>`;
    if (value === null || typeof value !== "object") {
      return html`<div class="leaf">${label} <span class=${"value-" + (value === null ? "null" : typeof value)}>${typeof value === "string" ? `"${value}"` : String(value)}</span></div>`;
    }
    const entries = Object.entries(value), list = Array.isArray(value);
    return html`<details open=${open}><summary>${label} <span class="muted">${list ? `[${entries.length}]` : `{${entries.length}}`}</span></summary>
      ${entries.slice(0, 200).map(([key, one]) => html`<${Json} name=${key} value=${one} open=${entries.length < 12 && !list}/>`)}
      ${entries.length > 200 && html`<div class="leaf muted">… and ${number(entries.length - 200)} more</div>`}</details>`;
  }

  const Stat = ({ of }) => html`<div class="stat"><b title=${of.name}>${of.name}</b><small>${of.dtype}</small>
    ${of.histogram ? html`<${Histogram} of=${of.histogram} label=${`histogram of ${of.name}`}/>`
      : of.top ? html`<ul>${of.top.map(([value, count]) => html`<li><span>${String(value)}</span> <small>${number(count)}</small></li>`)}</ul>` : html`<span class="spacer"/>`}
    <small>${of.min != null && `${number(of.min)} … ${number(of.max)}`}${of.min == null && of.unique != null && `${number(of.unique)} different`}</small>
    <small>${of.nulls ? html`<span class="warn">${number(of.nulls)} missing</span>` : of.unique != null && of.min != null ? `${number(of.unique)} different` : "none missing"}</small></div>`;

  function Preview({ reference }) {
    const answer = useAnswer("preview", { ref: reference });
    return html`<section class="preview"><h2>Preview</h2><${Shown} of=${answer}>${data => html`<div>
      ${data.type === "table" && html`<div><p class="muted">${counted(data.rows.length, "row")}${data.row_count != null ? ` of ${number(data.row_count)}` : ""}${data.note ? `; ${data.note}` : ""}</p><div class="scroll tall"><table class="rows"><thead><tr class="stats">${data.columns.map(one => html`<th scope="col"><${Stat} of=${one}/></th>`)}</tr></thead>
        <tbody>${data.rows.map(row => html`<tr>${row.map((one, i) => html`<td class=${/Int|Float|Decimal/.test(data.columns[i].dtype) ? "number" : ""} title=${one == null ? "missing" : String(one)}>${one == null ? html`<span class="missing">null</span>` : number(one)}</td>`)}</tr>`)}</tbody></table></div></div>`}
      ${data.type === "array" && html`<div class="array"><${Facts} rows=${[["shape", data.shape.map(number).join(" × ") || "scalar"], ["dtype", data.dtype], ["range", data.min != null && `${number(data.min)} … ${number(data.max)}`],
          ["mean", data.mean != null && number(data.mean)], ["std", data.std != null && number(data.std)], ["missing", data.missing || null]]}/>
        ${data.picture && html`<figure><${Pixels} of=${data.picture}/><figcaption class="muted">${data.picture_note || ""}</figcaption></figure>`}
        ${data.line && html`<${Line} values=${data.line} step=${data.step} size=${data.shape[0]}/>`}
        ${data.histogram && html`<figure><${Histogram} of=${data.histogram} wide=${320} tall=${90}/><figcaption class="muted">${number(data.histogram.low)} … ${number(data.histogram.high)}</figcaption></figure>`}
        ${data.text && html`<pre>${data.text}</pre>`}</div>`}
      ${data.type === "json" && html`<div class="json"><${Json} value=${data.value} open=${true}/></div>`}
      ${data.type === "image" && html`<img class="picture" src=${data.source} alt=${`picture ${reference}`}/>`}
      ${data.type === "text" && html`<pre class="text" tabIndex="0" role="region" aria-label="text">${data.text}</pre>`}
      ${data.note && data.type !== "table" && html`<p class="muted">${data.note}</p>`}</div>`}</${Shown}></section>`;
  }
  function Line({ values, step, size }) {
    const points = useMemo(() => ({ line: { x: values.map((_, i) => i * step), y: values.map(v => typeof v === "number" ? v : null), points: size } }), [values]);
    return html`<${lakefolio.Curves} title="values" note=${step > 1 ? `of ${number(size)} every ${number(step)}th is drawn` : ""} curves=${points} names=${{ line: "value" }} colours=${{ line: 0 }} axis="position" height=${180}/>`;
  }

  // -- one item --------------------------------------------------------------------------------------------------

  const Neighbours = ({ title, of, none }) => html`<section><h2>${title} <small>${of.length || ""}</small></h2>
    ${of.length ? html`<ul class="plain">${of.slice(0, 40).map(node => html`<li>${node.type === "entry" ? html`<${Kind} kind=${node.kind}/> <${ItemLink} folio=${node.folio} item=${node.item} version=${node.version}/>`
      : node.type === "run" ? html`<${Kind} kind="run"/> <a href=${href("run", { id: node.id })}>${node.id}</a>` : html`<${Kind} kind="external"/> <code>${node.id}</code>`}</li>`)}
      ${of.length > 40 && html`<li class="muted">and ${number(of.length - 40)} more</li>`}</ul>` : html`<p class="muted">${none}</p>`}</section>`;

  function Item() {
    const { params } = useRoute(), answer = useAnswer("item", { ref: params.ref });
    return html`<${Shown} of=${answer}>${data => {
      const info = data.info, name = `${data.folio}:${data.item}`, metadata = info.metadata || {};
      return html`<article><header><p class="crumb"><a href=${href("items", { folio: data.folio })}>${data.folio}</a></p>
          <h1>${data.item} <${Kind} kind=${data.kind}/></h1>${info.description && html`<p>${info.description}</p>`}
          ${(info.tags || []).length > 0 && html`<p>${info.tags.map(tag => html`<span class="tag">${tag}</span>`)}</p>`}
          ${data.latest_version !== data.version && html`<p class="notice">${data.renamed_to ? html`Renamed to <a href=${href("item", { ref: data.renamed_to })}>${data.renamed_to}</a> at version ${data.latest_version}.` : data.deleted ? `Deleted at version ${data.latest_version}.` : html`This is not the newest: it changed again at version ${data.latest_version}. <a href=${href("item", { ref: name })}>See that</a>`}</p>`}
          ${data.purged && html`<p class="notice">Its content was purged by gc and can't be read any more.</p>`}</header>
        <${Facts} rows=${[["version", html`${data.version}, <${Time} at=${info.created_at}/>${info.author ? ` by ${info.author}` : ""}`], ["size", info.size_bytes != null && bytes(info.size_bytes)],
          ["rows", info.num_rows != null && `${number(info.num_rows)}${info.num_cols ? ` × ${number(info.num_cols)} columns` : ""}`], 
          ["reference to", data.uri && html`<code>${data.uri}</code>`], ["media type", info.media_type], ["digest", info.checksum && html`<code title=${info.checksum}>${info.checksum.slice(0, 20)}…</code>`],
          ["code", info.code && html`<pre>${info.code}</pre>`], ["archived", info.archived && "yes"], ["read it", html`<code>lake.folio("${data.folio}").get("${data.item}${data.latest_version === data.version ? "" : `@${data.version}`}")</code>`]]}/>
        ${!data.purged && html`<${Preview} reference=${data.ref}/>`}
        ${Object.keys(metadata).length > 0 && html`<section><h2>Metadata</h2><div class="json"><${Json} value=${metadata} open=${true}/></div></section>`}
        <${Around} reference=${data.ref} name=${name} folio=${data.folio} version=${data.version}/>
      </article>`;
    }}</${Shown}>`;
  }

  /** Which run made an item, by which code. */
  const Origin = ({ run, code }) => html`<section><h2>Made by</h2><${Facts} rows=${[
      ["run", html`<a href=${href("run", { id: run.run_id })}>${run.name || run.run_id}</a>`],
      ["code", run.metadata.notebook || run.metadata.script || run.command],
      ["git", run.git_commit && `${run.git_commit.slice(0, 12)}${run.git_branch ? ` on ${run.git_branch}` : ""}${run.git_dirty ? ", with changes that are not committed" : ""}`],
      ["python", run.python && `${run.python}, ${counted(Object.keys(run.packages).length, "package")}, ${run.platform}`]]}/>
    ${code && html`<details><summary>the code</summary><pre>${code}</pre></details>`}</section>`;

  function Around({ reference, name, folio, version }) {
    const answer = useAnswer("around", { ref: reference });
    const before = i => answer.data.history.slice(i + 1).find(one => one.op === "put" && !one.purged);
    return html`<${Shown} of=${answer}>${data => html`<div class="around">
        ${data.run && html`<${Origin} run=${data.run} code=${data.code}/>`}
        <div class="columns"><${Neighbours} title="Made of" of=${data.inputs} none="no inputs are noted"/><${Neighbours} title="Used by" of=${data.dependents} none="nothing yet"/></div>
        ${!data.neighbours_complete && html`<p class="muted">There are more than are shown here.</p>`}
        ${(data.inputs.length > 0 || data.dependents.length > 0) && html`<p><a class="button" href=${href("lineage", { ref: reference })}>Lineage as a graph</a></p>`}
        <section><h2>History <small>${counted(data.history_count, "change")}</small></h2><div class="scroll"><table class="rows"><thead><tr><th scope="col" class="number">version</th><th scope="col">when</th><th scope="col">own version</th><th scope="col">change</th><th scope="col">author</th><th scope="col" class="number">size</th><th scope="col" class="number">rows</th><th scope="col">message</th></tr></thead>
          <tbody>${data.history.map((one, i) => html`<tr class=${one.version === version ? "chosen" : ""}><td class="number">${one.op === "put" ? html`<a href=${href("item", { ref: `${name}@${one.version}` })}>${one.version}</a>` : one.version}</td><td><${Time} at=${one.committed_at}/></td>
            <td class="own">${one.number != null ? `#${one.number}` : ""}${one.label ? html` <b>${one.label}</b>` : ""}${(one.aliases || []).map(alias => html` <span class="tag">${alias}</span>`)}</td>
            <td>${one.reason || one.op}${one.purged ? " (purged)" : ""}${i + 1 < data.history.length ? html` <a class="muted" href=${href("diff", { a: one.version - 1, b: one.version, folio })}>diff</a>` : ""}${!lakefolio.frozen && one.op === "put" && before(i) ? html` <a class="muted" href=${href("inside", { ref: name, a: before(i).version, b: one.version })} aria-label=${`what changed inside from version ${before(i).version} to ${one.version}`}>inside</a>` : ""}</td><td>${one.author}</td><td class="number">${bytes(one.size_bytes)}</td><td class="number">${number(one.row_count)}</td><td>${one.message}</td></tr>`)}</tbody></table></div></section>
      </div>`}</${Shown}>`;
  }

  Object.assign(lakefolio, { Items, Item, Json });
}
