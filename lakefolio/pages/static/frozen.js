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
      nodes: kept.map(one => whole.nodes[one]), total: kept.length, complete: whole.complete, stale_complete: whole.stale_complete,
      edges: whole.edges.filter(([a, b]) => place.has(a) && place.has(b)).map(([a, b, run]) => [place.get(a), place.get(b), run]),
    };
  };

  /** The columns that words are looked for in, by the names that a search gives them: kind:table tag:gold folio:shop. */
  function searched(data, names, fixed) {
    const columns = names.map(name => ({ name: name === "tags" ? "tag" : name, type: "text", values: column(data, name) }));
    return [...columns, ...Object.entries(fixed).map(([name, value]) => ({ name, type: "text", values: Array(data.rows).fill(value) }))];
  }
  let looked; // made once: the texts of all rows are kept with it
  const lookedThrough = () => looked ??= [
    { data: held("items?"), columns: searched(held("items?"), ["item", "folio", "kind", "description", "tags", "author"], {}),
      hit: at => ({ type: "item", name: `${at("folio")}:${at("item")}`, kind: at("kind"), description: at("description") }) },
    { data: held("runs?"), columns: searched(held("runs?"), ["run_id", "name", "project", "model", "description", "tags", "author", "status"], { kind: "run" }),
      hit: at => ({ type: "run", id: at("run_id"), name: at("name") || at("run_id"), kind: at("status"), description: at("description") }) },
  ];

  derived.search = ({ q }) => {
    const hits = [], counts = { kind: new Map(), tag: new Map(), folio: new Map(), author: new Map() };
    let total = 0;
    for (const { data, columns, hit } of lookedThrough()) {
      for (const row of lakefolio.arranged(columns, data.rows, q, "")) {
        total++;
        if (hits.length < 50) hits.push(hit(name => column(data, name)[row]));
        for (const one of columns) {
          const value = one.values[row];
          if (counts[one.name] && value) for (const each of one.name === "tag" ? value.split(", ") : [value]) counts[one.name].set(each, (counts[one.name].get(each) || 0) + 1);
        }
      }
    }
    const facets = Object.entries(counts).filter(([, of]) => of.size > 1).map(([field, of]) => ({ field, values: [...of].sort((a, b) => b[1] - a[1]).slice(0, 5).map(([value, count]) => ({ value, count })) }));
    return { hits, total, facets };
  };
}
