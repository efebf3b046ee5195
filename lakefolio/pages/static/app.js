// The frame: which lake at which version, where to go, search, and errors.
"use strict";
{
  const { html, render, useState, useEffect, useRef, useErrorBoundary, useAnswer, useRoute, useHead, ask, moved, POLL_MS, frozen, href, go, time, Time, Kind, Status, ItemLink, Failed, Shown, counted } = lakefolio;
  const PAGES = [["runs", "Runs", "Runs"], ["compare", "Compare", "Compare"], ["models", "Models", "Models"], ["items", "Items", "Items"], ["lineage", "Lineage", "Lineage"], ["history", "History", "History"], ["snapshots", "Snapshots", "Snapshots"], ["storage", "Storage", "Storage"]];
  const INSIDE = { run: ["Run", "runs"], item: ["Item", "items"], diff: ["Diff", "history"], inside: ["Inside", "items"] };

  /** A piece of text with the words that were looked for marked. */
  function Marked({ of }) {
    const parts = [];
    let at = 0;
    for (const [start, end] of of.spans) { parts.push(of.text.slice(at, start), html`<mark>${of.text.slice(start, end)}</mark>`); at = end; }
    return html`<small class="muted"><span class="field">${of.field}</span> ${parts}${of.text.slice(at)}</small>`;
  }

  /** How what was found falls into kinds, tags, folios and authors; a click narrows the search. */
  const Facets = ({ of, total, onChoose }) => html`<div class="facets"><small class="muted">${counted(total, "hit")}</small>${of.map(({ field, values }) => html`<p><small class="muted">${field}</small>${values.map(({ value, count }) =>
    html`<button type="button" aria-label=${`only ${field} ${value}, ${counted(count, "hit")}`} onClick=${() => onChoose(`${field}:${/^[\w-]+$/.test(value) ? value : `"${value.replaceAll('"', " ")}"`}`)}>${value} <small>${count}</small></button>`)}</p>`)}</div>`;

  function Search() {
    const [text, setText] = useState(""), [found, setFound] = useState(null), [open, setOpen] = useState(false), box = useRef(null), route = useRoute();
    useEffect(() => {
      const query = text.trim();
      if (!query) { setFound(null); return; }
      let gone = false;
      const timer = setTimeout(() => ask("search", { q: query, at: route.at, of: route.params.ref }).then(said => gone || setFound(said), error => gone || setFound({ error })), 150);
      return () => { gone = true; clearTimeout(timer); };
    }, [text, route.at]);
    useEffect(() => {
      const slash = event => { if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName)) { event.preventDefault(); box.current.querySelector("input").focus(); } };
      const away = event => { if (!box.current.contains(event.target)) setOpen(false); };
      addEventListener("keydown", slash);
      addEventListener("pointerdown", away);
      return () => { removeEventListener("keydown", slash); removeEventListener("pointerdown", away); };
    }, []);
    function keys(event) {
      const links = [...box.current.querySelectorAll(".found a")], at = links.indexOf(document.activeElement);
      if (event.key === "Escape") { setOpen(false); box.current.querySelector("input").blur(); }
      else if (event.key === "ArrowDown") { links[Math.min(at + 1, links.length - 1)]?.focus(); event.preventDefault(); }
      else if (event.key === "ArrowUp") { (at <= 0 ? box.current.querySelector("input") : links[at - 1]).focus(); event.preventDefault(); }
      else if (event.key === "Enter" && at < 0) links[0]?.click();
    }
    return html`<div class="search" role="search" ref=${box} onKeyDown=${keys}><input type="search" placeholder="Search  /" aria-label="search items and runs" value=${text} onFocus=${() => setOpen(true)} onInput=${e => { setText(e.target.value); setOpen(true); }}/>
      ${open && found && html`<div class="found">${found.error ? html`<${Failed} error=${found.error}/>` : found.hits.length ? html`<${Facets} of=${found.facets} total=${found.total} onChoose=${term => { setText(`${/\bOR\b/.test(text) ? `(${text.trim()})` : text.trim()} ${term}`); box.current.querySelector("input").focus(); }}/><ul>${found.hits.map(one => html`<li><a href=${one.type === "run" ? href("run", { id: one.id }) : href("item", { ref: one.name })} onClick=${() => setOpen(false)}>
        ${one.type === "run" ? html`<${Kind} kind="run"/>` : html`<${Kind} kind=${one.kind}/>`}<span class="item"><span>${one.type === "run" ? one.name : one.name.split(":").slice(1).join(":")}</span> <small>${one.type === "run" ? one.kind : one.name.split(":")[0]}</small></span>${(one.marks || []).length > 0 ? one.marks.map(mark => html`<${Marked} of=${mark}/>`) : one.description && html`<small class="muted">${one.description}</small>`}</a></li>`)}</ul>`
        : html`<p class="muted">nothing found for “${text}”</p>`}</div>`}</div>`;
  }

  /** Which version the whole page shows: a slider over all of them, with the snapshots. */
  function Versions({ lake }) {
    const route = useRoute(), newest = lake.newest, at = route.at ? lake.version : newest, when = useAnswer("when", {}).data?.committed_at, [moving, setMoving] = useState(null), timer = useRef(0);
    const to = version => go(route.page, route.params, String(version) === String(newest) ? "" : String(version));
    useEffect(() => setMoving(null), [route.at, lake.version]);
    const slide = value => { setMoving(value); clearTimeout(timer.current); timer.current = setTimeout(() => to(value), 120); };
    return html`<div class=${"versions" + (route.at ? " past" : "")}>
      <label><span class="hidden">version</span><input type="range" min="1" max=${newest} value=${moving ?? at} disabled=${newest < 2} aria-valuetext=${`version ${at}, ${when ? time(when) : ""}`} onInput=${e => slide(Number(e.target.value))}/></label>
      <span class="at">@${moving ?? at} <small>${when && html`<${Time} at=${when}/>`}</small></span>
      ${lake.snapshots.length > 0 && html`<select aria-label="snapshot" value="" onChange=${e => e.target.value && to(e.target.value)}><option value="">snapshots</option>${[...lake.snapshots].reverse().slice(0, 200).map(one => html`<option value=${one.version}>${one.name}${one.folio ? ` (${one.folio})` : ""} @${one.version}</option>`)}</select>`}
      ${route.at && html`<a class="button primary" href=${href(route.page, route.params, "")}>back to now</a>`}</div>`;
  }

  function Page({ page }) {
    const [error, reset] = useErrorBoundary(one => console.error(one)), route = useRoute();
    useEffect(() => { if (error) reset(); }, [route.page, JSON.stringify(route.params)]);
    if (error) return html`<${Failed} error=${{ message: `this page failed: ${error.message}`, hint: "reload it; the console has more" }}/>`;
    const name = INSIDE[page]?.[0] || PAGES.find(([one]) => one === page)?.[2];
    return name ? html`<${lakefolio[name]} key=${page}/>` : html`<${Failed} error=${{ message: `there is no page ${page}`, hint: "choose one above" }}/>`;
  }

  function App() {
    const route = useRoute(), lake = useAnswer("lake", {}), [lost, setLost] = useState(null), main = useRef(null), data = lake.data;
    useEffect(() => {
      if (frozen) return;
      let timer;
      const look = () => ask("head", {}).then(said => { moved(said.version); setLost(null); }, setLost);
      const wait = () => { timer = setTimeout(() => (document.hidden ? Promise.resolve() : look()).then(wait), POLL_MS); };
      const shown = () => document.hidden || look();
      look().then(wait); // also in a tab that was opened behind another
      document.addEventListener("visibilitychange", shown);
      return () => { clearTimeout(timer); document.removeEventListener("visibilitychange", shown); };
    }, []);
    const page = route.page || (data ? (data.runs ? "runs" : "items") : "");
    const within = INSIDE[page]?.[1] || page;
    useEffect(() => { document.title = `${route.params.ref ? route.params.ref + " · " : ""}${page ? (PAGES.find(([one]) => one === page)?.[1] || INSIDE[page]?.[0] || page) + " · " : ""}${data ? data.uri.split("/").pop() : "lakefolio"}`; }, [page, route.params.ref, data]);
    useEffect(() => { main.current?.scrollTo(0, 0); }, [page, JSON.stringify(route.params)]);
    return html`<div class="frame"><a class="skip" href="#main" onClick=${e => { e.preventDefault(); main.current.focus(); }}>to the content</a>
      <header class="bar"><a class="brand" href=${href("", {})} title=${data?.uri}><span>${data ? data.uri.replace(/\/+$/, "").split("/").pop() : "lakefolio"}</span></a>
        <nav aria-label="pages">${PAGES.filter(([one]) => one !== "models" || data?.models || page === one).map(([one, label]) => html`<a href=${href(one)} aria-current=${within === one ? "page" : undefined}>${label}</a>`)}</nav><${Search}/></header>
      ${data && !frozen && html`<${Versions} lake=${data}/>`}
      ${frozen && html`<p class="versions"><span>Frozen at version ${frozen.version} on <${Time} at=${frozen.made_at}/>. ${frozen.left_out}</span></p>`}
      ${lost && html`<${Failed} error=${lost}/>`}
      <main id="main" tabIndex="-1" ref=${main}>${lake.error && !data && html`<${Failed} error=${lake.error}/>`}${page && html`<${Page} page=${page}/>`}</main></div>`;
  }

  render(html`<${App}/>`, document.getElementById("app"));
}
