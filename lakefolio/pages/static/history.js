// History: commits, the difference of two versions, snapshots; and what the lake takes to store.
"use strict";
{
  const { html, useState, useEffect, useAnswer, useRoute, ask, Shown, Empty, Failed, Facts, Kind, Time, ItemLink, href, go, amend, bytes, number, counted } = lakefolio;

  // "+ folio:item" becomes a link
  function Change({ text }) {
    const match = /^([+~-]) ([^:]+):(.+?)( \(\w+\))?$/.exec(text);
    if (!match) return html`<li class="change">${text}</li>`;
    const sign = { "+": "added", "~": "changed", "-": "removed" }[match[1]];
    return html`<li class=${"change " + sign}><i aria-label=${sign}>${match[1]}</i> ${match[1] === "-" ? html`<span class="item"><span>${match[3]}</span> <small>${match[2]}</small></span>` : html`<${ItemLink} folio=${match[2]} item=${match[3]}/>`}<small class="muted">${match[4]}</small></li>`;
  }

  function History() {
    const answer = useAnswer("log", {}), [older, setOlder] = useState([]), [more, setMore] = useState(null), [error, setError] = useState(null), route = useRoute();
    useEffect(() => { setOlder([]); setMore(null); setError(null); }, [answer.data]);
    return html`<${Shown} of=${answer}>${data => {
      const commits = [...data.commits, ...older], last = commits[commits.length - 1];
      const again = more ?? data.more;
      if (!commits.length) return html`<${Empty} title="Nothing happened yet"><p>Each change of the lake will be listed here.</p></${Empty}>`;
      return html`<article><header><h1>History</h1></header><ol class="log">${commits.map(one => html`<li key=${one.commit_id}><div class="when"><a href=${href("diff", { a: one.version - 1, b: one.version })} title="what this commit changed">@${one.version}</a> <${Time} at=${one.committed_at}/></div>
          <div><p>${one.message || html`<span class="muted">no message</span>`} <small class="muted">${one.author}</small></p>
            <ul class="plain changes">${one.changes.slice(0, 6).map(text => html`<${Change} text=${text}/>`)}${one.change_count > 6 && html`<li class="muted">and ${number(one.change_count - 6)} more: <a href=${href("diff", { a: one.version - 1, b: one.version })}>all</a></li>`}</ul>
            ${!lakefolio.frozen && html`<a class="muted small" href=${href(route.page, route.params, String(one.version))}>look at the lake as of here</a>`}</div></li>`)}</ol>
        ${error && html`<${Failed} error=${error}/>`}
        ${again && last.version > 1 && !lakefolio.frozen && html`<button type="button" onClick=${() => ask("log", { before: last.version, at: route.at }).then(said => { setOlder([...older, ...said.commits]); setMore(said.more); }, setError)}>older commits</button>`}</article>`;
    }}</${Shown}>`;
  }

  function Diff() {
    const { params } = useRoute(), [a, setA] = useState(params.a || ""), [b, setB] = useState(params.b || "");
    const answer = useAnswer("diff", { a: params.a, b: params.b, folio: params.folio, all: params.all }, !params.a);
    useEffect(() => { setA(params.a || ""); setB(params.b || ""); }, [params.a, params.b]);
    const part = (title, list, count, sign) => count > 0 && html`<section><h2>${title} <small>${number(count)}</small></h2><div class="scroll"><table class="rows"><tbody>${list.map(one => html`<tr class=${sign}><td><${ItemLink} folio=${one.folio} item=${one.item} version=${sign === "removed" ? one.old_version : one.new_version}/></td><td><${Kind} kind=${one.kind}/></td>
        <td>${one.aspects.join(", ")}${!lakefolio.frozen && one.aspects.includes("content") && html` <a class="muted" href=${href("inside", { ref: `${one.folio}:${one.item}`, a: one.old_version, b: one.new_version })} aria-label=${`what changed inside ${one.item}`}>inside</a>`}</td><td class="number">${one.old_size_bytes != null && one.new_size_bytes != null && one.old_size_bytes !== one.new_size_bytes ? `${bytes(one.old_size_bytes)} → ${bytes(one.new_size_bytes)}` : bytes(one.new_size_bytes ?? one.old_size_bytes)}</td>
        <td class="number">${one.old_row_count != null && one.new_row_count != null && one.old_row_count !== one.new_row_count ? `${number(one.old_row_count)} → ${number(one.new_row_count)} rows` : one.new_row_count ?? one.old_row_count ? counted(one.new_row_count ?? one.old_row_count, "row") : ""}</td></tr>`)}</tbody></table></div>
        ${count > list.length && html`<p class="muted">the first ${number(list.length)} are shown</p>`}</section>`;
    return html`<article><header><h1>What changed</h1></header><form class="tools" onSubmit=${e => { e.preventDefault(); amend({ a, b }); }}>
        <label class="pick">from <input value=${a} onInput=${e => setA(e.target.value)} placeholder="version, time, snapshot" aria-label="from"/></label><label class="pick">to <input value=${b} onInput=${e => setB(e.target.value)} placeholder="now" aria-label="to"/></label>
        <button type="submit" class="button">Compare</button>${params.folio && html`<span class="muted">in ${params.folio} <button type="button" onClick=${() => amend({ folio: "" })}>whole lake</button></span>`}</form>
      ${params.a ? html`<${Shown} of=${answer}>${data => html`<div class="around"><p class="tools"><span class="muted">version ${data.a} to ${data.b}: ${counted(data.unchanged_count, "item")} unchanged</span>
          ${lakefolio.frozen ? data.hidden > 0 && html`<span class="muted">${counted(data.hidden, "change")} of runs and records not shown</span>` : (data.hidden > 0 || params.all) && html`<label><input type="checkbox" checked=${Boolean(params.all)} onChange=${e => amend({ all: e.target.checked ? "1" : "" })}/> also those of runs and records</label>`}</p>
        ${part("Added", data.added, data.added_count, "added")}${part("Changed", data.changed, data.changed_count, "changed")}${part("Removed", data.removed, data.removed_count, "removed")}
        ${!data.added_count && !data.changed_count && !data.removed_count && html`<${Empty} title="No item changed"><p>${data.hidden ? `Only ${counted(data.hidden, "item")} of runs and records did.` : "Between these versions only runs, snapshots or notes may have changed."}</p></${Empty}>`}</div>`}</${Shown}>` : html`<p class="muted">Name a version, a time such as yesterday, or a snapshot.</p>`}</article>`;
  }

  function Snapshots() {
    const answer = useAnswer("lake", {});
    return html`<${Shown} of=${answer}>${data => html`<article><header><h1>Snapshots</h1><p class="muted">Protected names of versions: what they hold is kept for as long as they exist.</p></header>
      ${data.snapshots.length ? html`<div class="scroll"><table class="rows"><thead><tr><th scope="col">name</th><th scope="col">of</th><th scope="col" class="number">version</th><th scope="col">taken</th><th scope="col">author</th><th scope="col">why</th><th scope="col"></th></tr></thead>
        <tbody>${[...data.snapshots].reverse().map(one => html`<tr><td><b>${one.name}</b> ${one.tags.map(tag => html`<span class="tag">${tag}</span>`)}</td><td>${one.folio ? html`<a href=${href("items", { folio: one.folio })}>${one.folio}</a>` : "the lake"}</td><td class="number">${one.version}</td><td><${Time} at=${one.committed_at}/></td><td>${one.author}</td><td>${one.message}</td>
          <td class="whole-words">${!lakefolio.frozen && html`<a href=${href("items", one.folio ? { folio: one.folio } : {}, String(one.version))}>as it was</a>, `}<a href=${href("diff", { a: one.version, folio: one.folio }, "")}>diff to now</a></td></tr>`)}</tbody></table></div>`
        : html`<${Empty} title="No snapshots"><p>Name a version to keep it:</p><pre>lakefolio snapshot create paper-v1</pre></${Empty}>`}</article>`}</${Shown}>`;
  }

  function Storage() {
    const answer = useAnswer("storage", {});
    return html`<${Shown} of=${answer}>${data => {
      const sum = name => data.folios.reduce((total, one) => total + (one[name] || 0), 0), logical = sum("logical_bytes"), stored = sum("stored_bytes"), most = Math.max(...data.folios.map(one => Math.max(one.logical_bytes, one.stored_bytes)), 1);
      const width = n => ({ width: `${(100 * n / most).toFixed(1)}%` });
      return html`<article><header><h1>Storage</h1></header>
        ${data.folios.length ? html`<div><div class="tiles"><div><b>${bytes(logical)}</b><small>if each entry had its own copy</small></div><div><b>${bytes(stored)}</b><small>stored</small></div><div><b>${logical ? `${(100 * (logical - stored) / logical).toFixed(1)} %` : "–"}</b><small>saved by storing equal content once</small></div></div>
        <div class="scroll"><table class="rows"><thead><tr><th scope="col">folio</th><th scope="col" class="number">entries</th><th scope="col" class="number" title="what all versions of its items would take, each with a copy of its own">logical</th><th scope="col" class="number" title="what is stored for this folio alone or first">stored</th><th scope="col" class="number" title="what other folios hold too">shared</th><th scope="col" class="bars"><span class="hidden">as bars</span></th></tr></thead><tbody>${data.folios.map(one => html`<tr><td>${one.folio ? html`<a href=${href("items", { folio: one.folio })}>${one.folio}</a>` : html`<span class="muted">${counted(one.folio_count, "folio")} of runs and records</span>`}</td><td class="number">${number(one.entry_count)}</td><td class="number">${bytes(one.logical_bytes)}</td><td class="number">${bytes(one.stored_bytes)}</td><td class="number">${bytes(one.shared_bytes)}</td>
          <td class="bars" aria-hidden="true"><i class="meter logical" style=${width(one.logical_bytes)}/><i class="meter stored" style=${width(one.stored_bytes)}/></td></tr>`)}</tbody></table></div>
        <section><h2>Largest items</h2><div class="scroll"><table class="rows"><tbody>${data.largest.map(one => html`<tr><td><${ItemLink} folio=${one.folio} item=${one.item}/></td><td><${Kind} kind=${one.kind}/></td><td class="number">${bytes(one.size_bytes)}</td><td class="number muted">${one.stored_bytes ? `${bytes(one.stored_bytes)} stored` : ""}</td></tr>`)}</tbody></table></div></section></div>`
          : html`<${Empty} title="Nothing stored yet"/>`}</article>`;
    }}</${Shown}>`;
  }

  Object.assign(lakefolio, { History, Diff, Snapshots, Storage });
}
