// Lineage as a graph that is laid out by dagre: what an item was made of on its left, what was made of it on its right.
"use strict";
{
  const { html, useMemo, useState, useRef, useLayoutEffect, useAnswer, useRoute, Shown, Empty, kindClass, href, go, amend, counted, time } = lakefolio;
  const WIDE = 184, TALL = 40;
  const ruler = document.createElement("canvas").getContext("2d");
  /** Cut a text so that it is no wider than some pixels. */
  function fit(text, wide, font) {
    ruler.font = `${font} ${getComputedStyle(document.body).fontFamily}`;
    text = String(text ?? "");
    if (ruler.measureText(text).width <= wide) return text;
    let chars = Math.min(text.length, 60);
    while (chars > 1 && ruler.measureText(text.slice(0, chars) + "…").width > wide) chars--;
    return text.slice(0, chars) + "…";
  }

  function layout(data) {
    const graph = new dagre.graphlib.Graph();
    graph.setGraph({ rankdir: "LR", nodesep: 14, ranksep: 56, marginx: 8, marginy: 8, ranker: data.nodes.length > 150 ? "longest-path" : "network-simplex" });
    graph.setDefaultEdgeLabel(() => ({}));
    data.nodes.forEach((node, i) => graph.setNode(String(i), { width: WIDE, height: TALL }));
    data.edges.forEach(([output, input]) => graph.setEdge(String(input), String(output)));
    dagre.layout(graph);
    const { width, height } = graph.graph();
    return {
      width, height,
      places: data.nodes.map((_, i) => graph.node(String(i))),
      lines: graph.edges().map(edge => ({ from: Number(edge.v), to: Number(edge.w), points: graph.edge(edge).points })),
    };
  }
  const path = points => points.length < 3 ? `M${points.map(p => `${p.x},${p.y}`).join("L")}`
    : `M${points[0].x},${points[0].y}` + points.slice(1, -1).map((p, i) => { const next = points[i + 2], last = i === points.length - 3; return `Q${p.x},${p.y} ${last ? next.x : (p.x + next.x) / 2},${last ? next.y : (p.y + next.y) / 2}`; }).join("");
  const titled = node => node.type === "entry" ? [node.item ?? node.id, `${node.folio} @${node.version ?? "?"}`] : node.type === "run" ? [node.name || node.id, "run"] : [node.id, "outside of the lake"];
  const target = node => node.type === "entry" ? href("item", { ref: node.ref }) : node.type === "run" ? href("run", { id: node.id }) : undefined;

  function Graph({ data, root }) {
    const began = performance.now(), plan = useMemo(() => layout(data), [data]);
    lakefolio.laidOutIn = performance.now() - began;
    const [lit, setLit] = useState(null), [zoom, setZoom] = useState(0), box = useRef(null);
    const scale = zoom ? Math.pow(1.25, zoom) : 1;
    useLayoutEffect(() => {
      const at = plan.places[0], view = box.current;
      view.scrollLeft = at.x * scale - view.clientWidth / 2;
      view.scrollTop = at.y * scale - view.clientHeight / 2;
    }, [plan, scale]);
    const near = useMemo(() => {
      if (lit === null) return null;
      const found = new Set([lit]);
      plan.lines.forEach(one => { if (one.from === lit) found.add(one.to); if (one.to === lit) found.add(one.from); });
      return found;
    }, [lit, plan]);
    function onKeyDown(event) {
      const at = Number(event.target.dataset?.at ?? NaN), here = plan.places[at];
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!here || !way) return;
      event.preventDefault();
      let best = null, far = Infinity;
      plan.places.forEach((one, i) => {
        const dx = one.x - here.x, dy = one.y - here.y, along = dx * way[0] + dy * way[1], aside = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
        if (along > 4 && along + 2 * aside < far) { far = along + 2 * aside; best = i; }
      });
      if (best !== null) box.current.querySelector(`[data-at="${best}"]`).focus();
    }
    return html`<div class="graph-frame"><div class="zoom"><button type="button" aria-label="larger" onClick=${() => setZoom(zoom + 1)}>+</button><button type="button" aria-label="smaller" onClick=${() => setZoom(zoom - 1)}>−</button></div>
      <div class="graph" ref=${box} onKeyDown=${onKeyDown}>
      <svg width=${plan.width * scale} height=${plan.height * scale} viewBox=${`0 0 ${plan.width} ${plan.height}`} role="group" aria-label=${`lineage of ${root}: ${counted(data.nodes.length, "node")}; arrow keys move between them`}>
        <defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0,0.5L7.5,4L0,7.5z" class="arrow"/></marker></defs>
        ${plan.lines.map(one => html`<path class=${"edge" + (lit !== null && (one.from === lit || one.to === lit) ? " lit" : near ? " dim" : "")} d=${path(one.points)} marker-end="url(#arrow)"/>`)}
        ${data.nodes.map((node, i) => {
          const [name, under] = titled(node), { x, y } = plan.places[i], kind = node.type === "entry" ? node.kind : node.type;
          const said = `${name}, ${under}, ${kind || ""}${node.stale ? ", stale" : ""}${node.current ? "" : ", replaced since"}`;
          return html`<a href=${target(node)} data-at=${i} tabIndex="0" aria-label=${said} class=${`node kind-${kindClass(kind)}${i === 0 ? " root" : ""}${node.stale ? " stale" : ""}${node.current ? "" : " old"}${near && !near.has(i) ? " dim" : ""}`}
            transform=${`translate(${x - WIDE / 2},${y - TALL / 2})`} onMouseEnter=${() => setLit(i)} onMouseLeave=${() => setLit(null)} onFocus=${() => setLit(i)} onBlur=${() => setLit(null)}>
            <title>${said}${node.committed_at ? `, ${time(node.committed_at)}` : ""}</title><rect class="box" width=${WIDE} height=${TALL} rx="5"/><rect class="edge-mark" width="4" height=${TALL} rx="2"/>
            <text x="12" y="17" class="name">${fit(name, WIDE - 20, "600 12px")}</text><text x="12" y="32" class="under">${fit(under, WIDE - (node.stale ? 54 : 20), "10px")}</text>
            ${node.stale && html`<text x=${WIDE - 8} y="32" text-anchor="end" class="mark">stale</text>`}</a>`;
        })}</svg></div></div>`;
  }

  function Lineage() {
    const { params } = useRoute(), answer = useAnswer("lineage", { ref: params.ref, depth: params.depth }, !params.ref);
    const list = useAnswer("items", {}, Boolean(params.ref));
    if (!params.ref) {
      return html`<${Shown} of=${list}>${data => data.rows ? html`<article><header><h1>Lineage</h1><p class="muted">Choose an item to see what it was made of and what was made of it.</p></header>
        <label class="pick">item <input class="filter" list="refs" placeholder="folio:item" aria-label="item" onChange=${e => e.target.value && go("lineage", { ref: e.target.value })}/></label>
        <datalist id="refs">${data.columns[0].values.slice(0, 500).map((folio, i) => html`<option value=${`${folio}:${data.columns[1].values[i]}`}/>`)}</datalist>
        <ul class="plain">${data.columns[0].values.slice(0, 12).map((folio, i) => html`<li><a class="item" href=${href("lineage", { ref: `${folio}:${data.columns[1].values[i]}` })}><span>${data.columns[1].values[i]}</span> <small>${folio}</small></a></li>`)}</ul></article>`
        : html`<${Empty} title="No items yet"><p>Lineage comes with <code>inputs=</code>, and by itself within runs.</p></${Empty}>`}</${Shown}>`;
    }
    return html`<${Shown} of=${answer}>${data => {
      const stale = data.nodes.filter(one => one.stale).length, [name, under] = titled(data.nodes[0]);
      return html`<div class="whole"><div class="tools"><b>${name}</b> <small class="muted">${under}</small>
        <span class="muted" role="status">${counted(data.nodes.length, "node")}${data.total > data.nodes.length ? `, the nearest of ${data.total}` : ""}${stale ? `, ${stale} stale` : ""}</span>
        <label class="pick">steps <select value=${params.depth || ""} onChange=${e => amend({ depth: e.target.value })}><option value="">all</option>${[1, 2, 3, 5].map(n => html`<option value=${n}>${n}</option>`)}</select></label>
        <a class="button" href=${href("item", { ref: params.ref })}>the item</a></div>
        <${Graph} data=${data} root=${params.ref}/>
        <p class="muted small">Inputs stand on the left. Stale: something it was made of has been replaced since. Dashed: replaced by a newer version.</p></div>`;
    }}</${Shown}>`;
  }

  Object.assign(lakefolio, { Lineage, layout });
}
