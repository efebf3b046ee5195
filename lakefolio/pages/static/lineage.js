// Lineage as a graph: what an item was made of on its left, what was made of it on its right.
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
  /** The same with the end kept, which tells nested folios and their versions apart. */
  const fitEnd = (text, wide, font) => {
    const turned = one => [...String(one ?? "")].reverse().join("");
    return turned(fit(turned(text), wide, font));
  };

  const ACROSS = 60, GAP = 14, MARGIN = 8, THIN = 4, SWEEPS = 12;

  /**
   * Place a graph in layers, as Sugiyama does: inputs left of outputs; an edge over several layers goes through a thin
   * place in each; places are ordered by the mean of their neighbours, then moved as near to it as the order lets them.
   * (dagre does the same with more care, and took 20 times as long for 300 nodes with long edges.)
   */
  function layout(data) {
    const nodes = data.nodes.length, links = forward(nodes, data.edges.map(([output, input]) => [input, output]));
    const layerOf = layered(nodes, links), before = [], after = [], tall = [], layers = [];
    const add = (layer, height) => {
      const at = tall.push(height) - 1;
      before.push([]);
      after.push([]);
      (layers[layer] = layers[layer] || []).push(at);
      return at;
    };
    layerOf.forEach(layer => add(layer, TALL));
    const chains = links.map(([from, to]) => {
      const chain = [from];
      for (let layer = layerOf[from] + 1; layer < layerOf[to]; layer++) chain.push(add(layer, THIN));
      chain.push(to);
      for (let i = 1; i < chain.length; i++) { after[chain[i - 1]].push(chain[i]); before[chain[i]].push(chain[i - 1]); }
      return chain;
    });
    const y = new Float64Array(tall.length);
    const mean = (at, near) => near[at].length ? near[at].reduce((sum, one) => sum + y[one], 0) / near[at].length : y[at];
    const sweep = visit => {
      for (let i = 1; i < layers.length; i++) visit(layers[i], before);
      for (let i = layers.length - 2; i >= 0; i--) visit(layers[i], after);
    };
    layers.forEach(layer => layer.forEach((at, i) => { y[at] = i; }));
    for (let i = 0; i < SWEEPS; i++) {
      sweep((layer, near) => {
        const wanted = new Map(layer.map(at => [at, mean(at, near)]));
        layer.sort((a, b) => wanted.get(a) - wanted.get(b)).forEach((at, place) => { y[at] = place * 10; });
      });
    }
    for (let i = 0; i < SWEEPS; i++) sweep((layer, near) => settle(layer, layer.map(at => mean(at, near)), tall, y));
    let top = Infinity, bottom = -Infinity;
    y.forEach((at, i) => { top = Math.min(top, at - tall[i] / 2); bottom = Math.max(bottom, at + tall[i] / 2); });
    const x = layer => MARGIN + WIDE / 2 + layer * (WIDE + ACROSS), down = at => y[at] - top + MARGIN;
    return {
      width: x(layers.length - 1) + WIDE / 2 + MARGIN, height: bottom - top + 2 * MARGIN,
      places: layerOf.map((layer, at) => ({ x: x(layer), y: down(at) })),
      lines: chains.map((chain, i) => {
        const [from, to] = links[i], first = layerOf[from];
        return { from, to, points: chain.flatMap((at, k) => at < nodes ? [{ x: x(first + k) + (k ? -1 : 1) * WIDE / 2, y: down(at) }]
          : [{ x: x(first + k) - WIDE / 2, y: down(at) }, { x: x(first + k) + WIDE / 2, y: down(at) }]) };
      }),
    };
  }

  /** Leave out edges that close a circle, which somebody wrote by hand, and those that are there twice. */
  function forward(nodes, edges) {
    const next = Array.from({ length: nodes }, () => []), state = new Uint8Array(nodes), kept = [], seen = new Set();
    for (const [from, to] of edges) if (from !== to && !seen.has(from * nodes + to)) { seen.add(from * nodes + to); next[from].push(to); }
    for (let root = 0; root < nodes; root++) {
      const stack = state[root] ? [] : [[root, 0]];
      if (stack.length) state[root] = 1;
      while (stack.length) {
        const here = stack[stack.length - 1], to = next[here[0]][here[1]++];
        if (to === undefined) { state[here[0]] = 2; stack.pop(); continue; }
        if (state[to] === 1) continue;
        kept.push([here[0], to]);
        if (!state[to]) { state[to] = 1; stack.push([to, 0]); }
      }
    }
    return kept;
  }

  /** Put each node one layer behind its last input, and what has no input before the first that uses it. */
  function layered(nodes, links) {
    const open = new Int32Array(nodes), next = Array.from({ length: nodes }, () => []), layer = new Array(nodes).fill(0);
    for (const [from, to] of links) { open[to]++; next[from].push(to); }
    const sources = [...open.keys()].filter(at => !open[at]), queue = [...sources];
    for (let i = 0; i < queue.length; i++) {
      for (const to of next[queue[i]]) {
        layer[to] = Math.max(layer[to], layer[queue[i]] + 1);
        if (!--open[to]) queue.push(to);
      }
    }
    for (const at of sources) if (next[at].length) layer[at] = Math.min(...next[at].map(to => layer[to])) - 1;
    return layer;
  }

  /** Move the places of a layer as near to where they want to be as their order and sizes let them (isotonic regression). */
  function settle(layer, wanted, tall, y) {
    let offset = 0;
    const blocks = [], offsets = layer.map((at, i) => {
      if (i) offset += (tall[layer[i - 1]] + tall[at]) / 2 + GAP;
      return offset;
    });
    layer.forEach((at, i) => {
      const weight = tall[at] === THIN ? 3 : 1; // long edges are to be straight
      let block = { sum: (wanted[i] - offsets[i]) * weight, weight, count: 1 };
      while (blocks.length && blocks[blocks.length - 1].sum / blocks[blocks.length - 1].weight > block.sum / block.weight) {
        const last = blocks.pop();
        block = { sum: last.sum + block.sum, weight: last.weight + block.weight, count: last.count + block.count };
      }
      blocks.push(block);
    });
    let i = 0;
    for (const block of blocks) for (let k = 0; k < block.count; k++, i++) y[layer[i]] = block.sum / block.weight + offsets[i];
  }

  const path = points => points.map((p, i) => {
    if (!i) return `M${p.x},${p.y}`;
    const last = points[i - 1], bend = (p.x - last.x) / 2;
    return Math.abs(p.y - last.y) < 0.5 ? `L${p.x},${p.y}` : `C${last.x + bend},${last.y} ${p.x - bend},${p.y} ${p.x},${p.y}`;
  }).join("");
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
    return html`<div class="graph-frame"><div class="zoom"><button type="button" aria-label="larger" onClick=${() => setZoom(zoom + 1)}>+</button><button type="button" aria-label="smaller" onClick=${() => setZoom(zoom - 1)}>−</button>
        <button type="button" aria-label="all of it" title="all of it" onClick=${() => setZoom(Math.min(0, Math.floor(Math.log(Math.min(box.current.clientWidth / plan.width, box.current.clientHeight / plan.height)) / Math.log(1.25))))}>⤢</button></div>
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
            <text x="12" y="17" class="name">${fit(name, WIDE - 20, "600 12px")}</text><text x="12" y="32" class="under">${fitEnd(under, WIDE - (node.stale ? 54 : 20), "10px")}</text>
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
        <span class="muted" role="status">${counted(data.nodes.length, "node")}${data.complete ? data.total > data.nodes.length ? `, the nearest of ${data.total}` : "" : `, the nearest of more than ${data.total}: go on from any of them`}${stale ? `, ${stale} stale` : ""}</span>
        <label class="pick">steps <select value=${params.depth || ""} onChange=${e => amend({ depth: e.target.value })}><option value="">all</option>${[...new Set([1, 2, 3, 5, Number(params.depth) || 1])].sort((a, b) => a - b).map(n => html`<option value=${n}>${n}</option>`)}</select></label>
        <a class="button" href=${href("item", { ref: params.ref })}>look at the item</a></div>
        <${Graph} data=${data} root=${params.ref}/>
        <p class="muted small">Inputs stand on the left. Stale: something it was made of has been replaced since${data.stale_complete ? "" : " (not all that lies further back was looked at)"}. Dashed: replaced by a newer version.</p></div>`;
    }}</${Shown}>`;
  }

  Object.assign(lakefolio, { Lineage, layout });
}
