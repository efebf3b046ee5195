// How a page without a server answers what differs from the answers that it carries.
"use strict";
{
  const { frozen, derived } = lakefolio;
  const held = key => frozen.answers[key];
  const column = (data, name) => data.columns.find(one => one.name === name)?.values || [];
  const WIDTH = 500; // of frozen.py

  derived.curves = ({ runs, x, from, to }) => {
    const found = {};
    for (const run of runs.split("\n")) {
      const said = held(`curves?runs=${run}&width=${WIDTH}${x ? `&x=${x}` : ""}`);
      for (const [metric, curves] of Object.entries(said && !said.error ? said : {})) {
        const curve = curves[run], within = curve.x.map(at => (from == null || at >= from) && (to == null || at <= to));
        const cut = Object.fromEntries(Object.entries(curve).map(([name, one]) => [name, Array.isArray(one) ? one.filter((_, i) => within[i]) : one]));
        (found[metric] = found[metric] || {})[run] = cut;
      }
    }
    return found;
  };

  derived.items = ({ folio, kind, all: every }) => {
    const all = held(folio || every ? "items?all=1" : "items?"), folios = column(all, "folio"), kinds = column(all, "kind");
    const rows = folios.map((_, row) => row).filter(row => (!folio || folios[row] === folio) && (!kind || kinds[row] === kind));
    return { ...all, rows: rows.length, total: rows.length, columns: all.columns.map(one => ({ ...one, values: rows.map(row => one.values[row]) })) };
  };

  derived.lineage = ({ ref, depth }) => {
    const whole = held(`lineage?ref=${ref}`);
    if (!whole || whole.error || !depth) return whole;
    const steps = (from, to) => { // each way on its own, as the lake walks
      const far = new Map([[0, 0]]);
      for (const at of far.keys()) {
        if (far.get(at) >= depth) continue;
        for (const edge of whole.edges) if (edge[from] === at && !far.has(edge[to])) far.set(edge[to], far.get(at) + 1);
      }
      return [...far.keys()];
    };
    const kept = [...new Set([...steps(0, 1), ...steps(1, 0)])], place = new Map(kept.map((one, i) => [one, i]));
    return {
      nodes: kept.map(one => whole.nodes[one]), total: kept.length,
      edges: whole.edges.filter(([a, b]) => place.has(a) && place.has(b)).map(([a, b, run]) => [place.get(a), place.get(b), run]),
    };
  };

  derived.search = ({ q }) => {
    const low = q.toLowerCase(), found = [];
    const look = (data, names, made) => {
      const looked = names.map(name => column(data, name));
      for (let row = 0; row < data.rows && found.length < 50; row++) {
        if (looked.some(values => String(values[row] ?? "").toLowerCase().includes(low))) found.push(made(name => column(data, name)[row]));
      }
    };
    look(held("items?"), ["item", "folio", "description", "tags"], at => ({ type: "item", name: `${at("folio")}:${at("item")}`, kind: at("kind"), description: at("description") }));
    look(held("runs?"), ["run_id", "name", "project", "model", "description", "tags"], at => ({ type: "run", id: at("run_id"), name: at("name") || at("run_id"), kind: at("status"), description: at("description") }));
    return { hits: found, total: found.length, facets: [] };
  };
}
