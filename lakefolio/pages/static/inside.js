// What changed inside an item between two of its versions: rows, cells, values, lines, and where an array differs.
"use strict";
{
  const { html, useState, useEffect, useAnswer, useRoute, Shown, Empty, Facts, Kind, Failed, href, amend, number, counted, time } = lakefolio;
  const SIGNS = { added: "+", removed: "−", changed: "~", renamed: "~", "": "" }, SQUARE = 9;

  /** Where an array differs: deeper colour is a larger difference. */
  const HeatMap = ({ of }) => html`<figure class="heat"><svg role="img" viewBox=${`0 0 ${of.levels[0].length} ${of.levels.length}`} width=${of.levels[0].length * SQUARE} height=${of.levels.length * SQUARE} aria-label=${`where the array differs: ${of.of}`}>
      ${of.levels.map((row, y) => row.map((level, x) => level > 0 && html`<rect x=${x} y=${y} width="1" height="1" fill-opacity=${level / 4}><title>${number(of.cells[y][x])}</title></rect>`))}</svg><figcaption class="muted">${of.of}</figcaption></figure>`;

  const Value = ({ of, side }) => of == null ? html`<span class="missing">${side ? "" : "null"}</span>` : html`<span class=${side}>${of}</span>`;

  /** Rows as daff lays them out: the key, then the columns that differ. */
  function Rows({ data }) {
    const keys = data.key.length ? data.key : ["row"], names = [];
    for (const row of [...data.rows.filter(one => one.change === "changed"), ...data.rows]) for (const name of Object.keys({ ...row.new, ...row.old })) if (!names.includes(name)) names.push(name);
    const cell = (row, name) => {
      if (!(name in row.new) && !(name in row.old)) return "";
      if (row.change === "changed") return html`<${Value} of=${row.old[name]} side=${row.old[name] == null ? "" : "old"}/> <span aria-label="became">→</span> <${Value} of=${row.new[name]} side=${row.new[name] == null ? "" : "new"}/>`;
      return html`<${Value} of=${(row.change === "added" ? row.new : row.old)[name]}/>`;
    };
    return html`<section><h2>Rows <small>examples</small></h2><div class="scroll tall" tabIndex="0" role="region" aria-label="rows that differ"><table class="rows inside"><thead><tr><th scope="col"><span class="hidden">change</span></th>${[...keys, ...names].map(name => html`<th scope="col">${name}</th>`)}</tr></thead>
      <tbody>${data.rows.map(row => html`<tr class=${row.change}><td><i aria-label=${row.change}>${SIGNS[row.change]}</i></td>${keys.map(name => html`<th scope="row"><${Value} of=${row.where[name]}/></th>`)}${names.map(name => html`<td>${cell(row, name)}</td>`)}</tr>`)}</tbody></table></div></section>`;
  }

  function ColumnsOf({ list, count }) {
    const differing = list.filter(one => one.change), said = (before, after) => before == null && after == null ? "" : before === after ? number(after) : html`${number(before) || "–"} → ${number(after) || "–"}`;
    return differing.length > 0 && html`<section><h2>Columns <small>${number(differing.length)} of ${number(count)}</small></h2><div class="scroll" tabIndex="0" role="region" aria-label="columns that differ"><table class="rows inside"><thead><tr><th scope="col"><span class="hidden">change</span></th>${["column", "type", "changed", "nulls", "min", "max", "mean"].map(name => html`<th scope="col" class=${name === "column" || name === "type" ? "" : "number"}>${name}</th>`)}</tr></thead>
      <tbody>${differing.map(one => html`<tr class=${one.change}><td><i aria-label=${one.change}>${SIGNS[one.change]}</i></td><th scope="row">${one.renamed_from ? `${one.renamed_from} → ${one.name}` : one.name}</th><td>${one.old_type === one.new_type || one.old_type == null || one.new_type == null ? one.new_type ?? one.old_type : `${one.old_type} → ${one.new_type}`}</td><td class="number">${one.changed_count ? number(one.changed_count) : ""}</td>
        ${["nulls", "min", "max", "mean"].map(what => html`<td class="number">${said(one["old_" + what], one["new_" + what])}</td>`)}</tr>`)}</tbody></table></div></section>`;
  }

  const Lines = ({ list }) => html`<pre class="lines" tabIndex="0" role="region" aria-label="lines that differ">${list.map(one => html`<span class=${one.line === 0 ? "hunk" : one.change}>${one.line === 0 ? "" : { added: "+", removed: "-" }[one.change] || " "}${(one.change === "removed" ? one.old : one.new) || ""}${"\n"}</span>`)}</pre>`;

  /** Everything else, one place a line; the lines of a file stand below its name. */
  function Places({ list }) {
    const groups = [];
    for (const one of list) {
      const last = groups[groups.length - 1], isLine = one.line != null;
      if (last && last.isLine === isLine) last.list.push(one); else groups.push({ isLine, list: [one] });
    }
    return groups.map(({ isLine, list }) => isLine ? html`<${Lines} list=${list}/>` : html`<div class="scroll" tabIndex="0" role="region" aria-label="places that differ"><table class="rows inside"><thead><tr><th scope="col"><span class="hidden">change</span></th><th scope="col">where</th><th scope="col">old</th><th scope="col">new</th></tr></thead>
      <tbody>${list.map(one => html`<tr class=${one.change}><td><i aria-label=${one.change}>${SIGNS[one.change]}</i></td><th scope="row">${one.where}</th><td><${Value} of=${one.old} side="old"/></td><td><${Value} of=${one.new} side="new"/></td></tr>`)}</tbody></table></div>`);
  }

  function Found({ data }) {
    if (data.identical) return html`<${Empty} title="The content is the same"><p>Only what is noted about the item may have changed.</p></${Empty}>`;
    return html`<${Facts} rows=${Object.entries(data.summary).map(([name, value]) => [name.replace(/_/g, " "), number(value)])}/>
      ${data.heat_map && html`<${HeatMap} of=${data.heat_map}/>`}<${ColumnsOf} list=${data.columns} count=${data.column_count}/>
      ${data.rows.length > 0 ? html`<${Rows} data=${data}/>` : data.changes.length > 0 && html`<section><h2>Places</h2><${Places} list=${data.changes}/></section>`}
      ${data.change_count > data.changes.length && html`<p class="muted">the first ${number(data.changes.length)} of ${number(data.change_count)} are shown</p>`}`;
  }

  function Inside() {
    const { params } = useRoute(), around = useAnswer("around", { ref: params.ref }, !params.ref), [key, setKey] = useState(params.key || "");
    const versions = (around.data?.history || []).filter(one => one.op === "put" && !one.purged), b = params.b || String(versions[0]?.version ?? ""), a = params.a || String(versions[1]?.version ?? "");
    const answer = useAnswer("inside", { ref: params.ref, a, b, key: params.key }, !a || !b);
    useEffect(() => setKey(params.key || ""), [params.key]);
    const pick = (name, value, word) => html`<label class="pick">${word} <select value=${value} onChange=${e => amend({ a, b, [name]: e.target.value })}>${!versions.some(one => String(one.version) === value) && html`<option value=${value}>@${value}</option>`}
      ${versions.map(one => html`<option value=${String(one.version)}>@${one.version}, ${time(one.committed_at)}${one.message ? `: ${one.message.slice(0, 40)}` : ""}</option>`)}</select></label>`;
    const [folio, ...rest] = (params.ref || "").split(":"), item = rest.join(":");
    return html`<article><header><p class="crumb"><a href=${href("items", { folio })}>${folio}</a></p><h1>What changed inside <a href=${href("item", { ref: params.ref })}>${item}</a> ${answer.data && html`<${Kind} kind=${answer.data.kind.split(" ").pop()}/>`}</h1></header>
      ${around.error && html`<${Failed} error=${around.error}/>`}
      ${versions.length > 0 && html`<form class="tools" onSubmit=${e => { e.preventDefault(); amend({ a, b, key }); }}>${pick("a", a, "from")}${pick("b", b, "to")}
        <button type="button" onClick=${() => amend({ a: b, b: a })}>Swap</button>
        ${(answer.data?.kind === "table" || params.key || answer.error) && html`<label class="pick">rows by <input value=${key} onInput=${e => setKey(e.target.value)} placeholder="position" aria-label="columns of the key, with commas"/></label><button type="submit" class="button">Compare</button>`}</form>`}
      ${versions.length > 0 && (!a || !b) ? html`<${Empty} title="There is one version only"><p>It will be compared with the next.</p></${Empty}>` : html`<${Shown} of=${answer}>${data => html`<div class="around"><${Found} data=${data}/></div>`}</${Shown}>`}</article>`;
  }

  Object.assign(lakefolio, { Inside });
}
