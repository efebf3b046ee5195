// What all parts of the page stand on: asking questions, addresses, and how values are shown.
// Values of a lake reach the document as text nodes only; nothing here makes HTML of them.
"use strict";
window.lakefolio = (() => {
  const { html, useState, useEffect, useLayoutEffect, useRef } = window.htmPreact;

  // -- questions: to the server, or to the answers that a frozen page carries ------------------------------------

  const holder = document.getElementById("frozen");
  const frozen = holder ? JSON.parse(holder.textContent) : null;
  const key = (name, params) =>
    name + "?" + Object.keys(params).filter(k => params[k] !== "" && params[k] != null).sort()
      .map(k => `${k}=${params[k]}`).join("&");
  const derived = {}; // question -> how a frozen page answers it from other answers

  async function ask(name, params = {}) {
    if (frozen) {
      const found = frozen.answers[key(name, params)] ?? derived[name]?.(params);
      if (found === undefined) throw { message: "this file holds no answer to that", hint: frozen.left_out };
      if (found.error) throw found.error;
      return found;
    }
    const asked = new URLSearchParams(Object.entries(params).filter(([, v]) => v !== "" && v != null));
    let response, said;
    try {
      response = await fetch(`/api/${name}?${asked}`);
      said = await response.json();
    } catch {
      throw { message: "the server does not answer", hint: "is lakefolio ui still running?", offline: true };
    }
    if (!response.ok) throw said.error;
    return said;
  }

  // the newest version that this page knows of; who asks without a fixed version asks again when it moves
  const watchers = new Set();
  let head = frozen ? frozen.version : null; // not known yet: nothing is asked before, or all would be asked twice
  function moved(version) {
    if (version === head) return;
    head = version;
    watchers.forEach(tell => tell(version));
  }
  function useHead() {
    const [seen, see] = useState(head);
    useLayoutEffect(() => { watchers.add(see); return () => watchers.delete(see); }, []); // before anything else can move it
    return seen;
  }

  const POLL_MS = 4000;
  const kept = new Map(), STAYS = ["items", "curves"];
  /** Ask, and ask again when the question or the lake changes; what was there of the same thing stays meanwhile. */
  function useAnswer(name, params, off) {
    const now = useHead(), route = useRoute();
    const asked = route.at && name !== "head" ? { ...params, at: route.at, ...(route.params.ref && !/^\d+$/.test(route.at) ? { of: route.params.ref } : {}) } : params;
    const which = off || (now === null && !route.at) ? null : key(name, asked) + "#" + (route.at ? "" : now);
    const of = STAYS.includes(name) ? name : key(name, params);
    const [state, set] = useState({ which: null, of, data: null, error: null });
    useEffect(() => {
      if (which === null) return;
      if (kept.has(which)) return set({ which, of, data: kept.get(which), error: null });
      let gone = false, again;
      const attempt = () => ask(name, asked).then(
        data => {
          kept.set(which, data);
          if (kept.size > 40) kept.delete(kept.keys().next().value);
          if (!gone) set({ which, of, data, error: null });
        },
        error => {
          if (gone) return;
          set(old => ({ which, of, data: error.offline && old.of === of ? old.data : null, error }));
          if (error.offline) again = setTimeout(attempt, POLL_MS);
        });
      attempt();
      return () => { gone = true; clearTimeout(again); };
    }, [which]);
    const same = state.of === of;
    return { data: same ? state.data : null, error: same ? state.error : null, loading: which !== null && state.which !== which };
  }

  // the cookie has it from now on; an address without it can be shown around
  if (!frozen && new URLSearchParams(location.search).has("token")) history.replaceState(null, "", location.pathname + location.hash);

  // -- addresses: #/page?name=value; the version that is looked at goes along -------------------------------------

  function parse() {
    const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
    const params = Object.fromEntries(new URLSearchParams(query || ""));
    const at = params.at || "";
    delete params.at;
    return { page: path, params, at };
  }
  function useRoute() {
    const [route, set] = useState(parse);
    useLayoutEffect(() => { // an address that changed before an effect runs, after the next frame, would be missed
      const changed = () => set(parse());
      addEventListener("hashchange", changed);
      return () => removeEventListener("hashchange", changed);
    }, []);
    return route;
  }
  function href(page, params = {}, at = parse().at) {
    const query = new URLSearchParams(
      Object.entries({ ...params, ...(at ? { at } : {}) }).filter(([, v]) => v !== "" && v != null)).toString();
    return `#/${page}${query ? "?" + query : ""}`;
  }
  const go = (page, params, at) => { location.hash = href(page, params, at); };
  /** Change some of the address without a step in the browser's history. */
  function amend(changes) {
    const { page, params } = parse();
    history.replaceState(null, "", href(page, { ...params, ...changes }));
    dispatchEvent(new HashChangeEvent("hashchange"));
  }

  // -- values --------------------------------------------------------------------------------------------------

  const grouped = new Intl.NumberFormat("en-US");
  function number(value) {
    if (typeof value !== "number") return value == null ? "" : String(value);
    if (Number.isInteger(value) && Math.abs(value) < 1e12) return grouped.format(value);
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-4 || size >= 1e9)) return Number(value.toPrecision(4)).toExponential();
    return size >= 1000 ? grouped.format(Math.round(value * 100) / 100) : String(Number(value.toPrecision(4)));
  }
  function bytes(value) {
    if (typeof value !== "number") return "";
    let unit = 0;
    for (; Math.abs(value) >= 1024 && unit < 4; unit++) value /= 1024;
    return `${unit ? value.toFixed(1) : value} ${["B", "KiB", "MiB", "GiB", "TiB"][unit]}`;
  }
  const two = n => String(n).padStart(2, "0");
  /** The zone of this computer at a time, as the commands write it: Z, +02, +05:30. */
  function zone(t) {
    const minutes = -t.getTimezoneOffset(), size = Math.abs(minutes);
    return minutes ? `${minutes < 0 ? "-" : "+"}${two(Math.floor(size / 60))}${size % 60 ? ":" + two(size % 60) : ""}` : "Z";
  }
  function time(value) {
    if (value == null || value === "") return "";
    const t = new Date(value);
    return isNaN(t) ? String(value)
      : `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())} ${two(t.getHours())}:${two(t.getMinutes())}${zone(t)}`;
  }
  const fullTime = value => {
    const t = new Date(value);
    return value == null || isNaN(t) ? "" : `${t.toLocaleString(undefined, { timeZoneName: "short" })} (${t.toISOString()})`;
  };
  function duration(value) {
    if (typeof value !== "number") return value == null ? "" : String(value);
    if (value < 1 && value > 0) return `${Number((value * 1000).toPrecision(3))} ms`;
    if (value < 60) return `${Number(value.toPrecision(3))} s`;
    if (value < 3600) return `${Math.floor(value / 60)} m ${two(Math.floor(value % 60))} s`;
    return `${Math.floor(value / 3600)} h ${two(Math.floor(value % 3600 / 60))} m`;
  }
  function shown(value, type, name) {
    if (value == null) return "";
    if (type === "time") return time(value);
    if (type === "bytes") return bytes(value);
    if (name === "duration_s") return duration(value);
    return type === "number" || typeof value === "number" ? number(value)
      : typeof value === "object" ? JSON.stringify(value) : String(value);
  }
  const counted = (n, word) => `${grouped.format(n)} ${n === 1 ? word : word.endsWith("y") ? word.slice(0, -1) + "ies" : word + "s"}`;

  // -- small parts -----------------------------------------------------------------------------------------------

  const Failed = ({ error }) => html`<p class="failed" role="alert"><b>${error.message}</b>
    ${error.hint && html`<span> — ${error.hint}</span>`}</p>`;
  const Empty = ({ title, children }) => html`<div class="empty"><h2>${title}</h2><div>${children}</div></div>`;
  const Waiting = () => html`<p class="waiting" role="status">reading the lake…</p>`;
  /** Show what an answer becomes, or that it is awaited, or why there is none. */
  const Shown = ({ of, children }) => html`<div class=${of.loading && of.data ? "refreshing" : ""}>
    ${of.error && html`<${Failed} error=${of.error}/>`}
    ${of.data ? children(of.data) : !of.error && html`<${Waiting}/>`}</div>`;
  const Kind = ({ kind }) => html`<span class=${"kind kind-" + kindClass(kind)}>${kind}</span>`;
  const kindClass = kind => ["table", "array", "sparse", "json", "timestamp", "model", "torch", "artifact", "directory",
    "figure", "run", "external"].includes(kind) ? kind : "other";
  const Status = ({ status }) => html`<span class=${"status status-" +
    (["done", "running", "failed", "lost"].includes(status) ? status : "other")}>${status}</span>`;
  const Time = ({ at }) => html`<time dateTime=${at == null || isNaN(new Date(at)) ? "" : new Date(at).toISOString()} title=${fullTime(at)}>${time(at)}</time>`;
  /** An item: its own name first, the folio small behind it. */
  const ItemLink = ({ folio, item, version }) => html`<a class="item" href=${href("item", {
    ref: version == null ? `${folio}:${item}` : `${folio}:${item}@${version}` })}><span>${item}</span>${" "}
    <small>${folio}${version == null ? "" : ` @${version}`}</small></a>`;
  const Facts = ({ rows }) => html`<dl class="facts">${rows.filter(([, v]) => v != null && v !== "" && v !== false)
    .map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;

  /** The width of an element, which follows the window. */
  function useWidth(first = 800) {
    const ref = useRef(null), [width, set] = useState(first);
    useLayoutEffect(() => { // before the first frame, so that nothing is drawn at one width and then at another
      if (!ref.current) return;
      const seen = new ResizeObserver(([one]) => set(Math.floor(one.contentRect.width)));
      seen.observe(ref.current);
      const { paddingLeft, paddingRight } = getComputedStyle(ref.current);
      set(Math.floor(ref.current.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight)));
      return () => seen.disconnect();
    }, []);
    return [ref, width];
  }
  function remembered(name, value) {
    try { localStorage.setItem("lakefolio." + name, JSON.stringify(value)); } catch { /* no storage for files */ }
  }
  function remember(name) {
    try { return JSON.parse(localStorage.getItem("lakefolio." + name)); } catch { return null; }
  }

  return { ...window.htmPreact, POLL_MS, frozen, derived, ask, moved, useHead, useAnswer, useRoute, useWidth, href, go, amend,
    number, bytes, time, fullTime, duration, shown, counted, Failed, Empty, Waiting, Shown, Kind, kindClass, Status,
    Time, ItemLink, Facts, remember, remembered };
})();
