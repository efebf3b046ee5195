// A table of many rows: sorted, filtered and scrolled in the browser; only the rows in sight are in the document.
"use strict";
{
  const { html, useState, useMemo, useRef, useEffect, useLayoutEffect, shown, fullTime, number, counted } = lakefolio;
  const ROW = 28, AHEAD = 8;

  const short = name => name.replace(/^(params|metrics)\./, "");
  /** Find the column that a word of a filter names: its full name, or the part behind params. or metrics. */
  function named(columns, word) {
    const low = word.toLowerCase();
    return columns.find(one => one.name.toLowerCase() === low) || columns.find(one => short(one.name).toLowerCase() === low);
  }

  /** Make a filter of its text: words that a row must hold, column:word, and column<number (also > <= >= = !=). */
  function compiled(columns, text) {
    const tests = [];
    for (const term of text.match(/"[^"]*"|\S+/g) || []) {
      const parts = /^([^<>=!:"]+)(<=|>=|!=|<|>|=|:)(.+)$/.exec(term);
      const column = parts && named(columns, parts[1]);
      if (column) {
        const [, , op, said] = parts, values = column.values, low = said.replaceAll('"', "").toLowerCase(), n = Number(said);
        const text = row => values[row] == null ? "" : String(values[row]).toLowerCase();
        const isNumber = row => typeof values[row] === "number";
        const time = column.type === "time" ? Date.parse(said) : NaN;
        const limit = Number.isNaN(time) ? n : time;
        tests.push({
          ":": row => text(row).includes(low),
          "=": row => isNumber(row) && !isNaN(limit) ? values[row] === limit : text(row) === low,
          "!=": row => isNumber(row) && !isNaN(limit) ? values[row] !== limit : text(row) !== low,
          "<": row => isNumber(row) && values[row] < limit, ">": row => isNumber(row) && values[row] > limit,
          "<=": row => isNumber(row) && values[row] <= limit, ">=": row => isNumber(row) && values[row] >= limit,
        }[op]);
      } else {
        const low = term.replaceAll('"', "").toLowerCase(), whole = texts(columns);
        tests.push(row => whole[row].includes(low));
      }
    }
    return row => tests.every(test => test(row));
  }
  const joined = new WeakMap();
  function texts(columns) {
    if (!joined.has(columns)) {
      const wanted = columns.filter(one => one.type === "text").map(one => one.values);
      const rows = columns.length ? columns[0].values.length : 0;
      joined.set(columns, Array.from({ length: rows }, (_, row) => {
        let text = "";
        for (const values of wanted) if (values[row] != null) text += values[row] + "\n";
        return text.toLowerCase();
      }));
    }
    return joined.get(columns);
  }

  /** Return the rows that a filter leaves, in order; rows without a value come last either way. */
  function arranged(columns, rows, text, sort) {
    const test = text.trim() ? compiled(columns, text) : () => true;
    const found = [];
    for (let row = 0; row < rows; row++) if (test(row)) found.push(row);
    const column = sort && columns.find(one => one.name === sort.replace(/^-/, ""));
    if (!column) return found;
    const falls = sort.startsWith("-") ? -1 : 1, keys = sortKeys(column);
    return found.sort((a, b) => {
      const x = keys[a], y = keys[b];
      if (x === y) return a - b;
      if (x === null) return 1;
      if (y === null) return -1;
      // numbers before texts, such as NaN
      if (typeof x !== typeof y) return typeof x === "number" ? -1 : 1;
      return (x < y ? -1 : 1) * falls;
    });
  }
  const keyed = new WeakMap();
  function sortKeys(column) {
    if (!keyed.has(column)) {
      keyed.set(column, column.values.map(one => one == null || one === "" ? null : typeof one === "number" ? one : String(one).toLowerCase()));
    }
    return keyed.get(column);
  }

  const ruler = document.createElement("canvas").getContext("2d");
  function widthOf(column) {
    const size = text => ruler.measureText(text).width;
    ruler.font = getComputedStyle(document.body).font;
    let most = size((/^(params|metrics)\./.test(column.name) ? "metric " : "") + short(column.label || column.name) + " ↓");
    for (let row = 0; row < Math.min(column.values.length, 60); row++) {
      most = Math.max(most, size(shown(column.values[row], column.type, column.name).slice(0, 60)));
    }
    // what stands beside the text of a kind or a status
    return Math.ceil(Math.min(most + (column.cell ? 16 : 2) + (column.indent || 0), 260)) + 20;
  }

  /**
   * columns: {name, type, values, label?, cell?(value, row), indent? (pixels before a cell)}; order: rows to show; sort, onSort(name);
   * onOpen(row); selected: a Set of rows and onSelect(row), if rows are chosen; label: what the table is of.
   */
  function Table({ nameOf, columns, order, sort, onSort, onOpen, selected, onSelect, label, height }) {
    const box = useRef(null), [top, setTop] = useState(0), [active, setActive] = useState(0);
    const [tall, setTall] = useState(600);
    useLayoutEffect(() => {
      const seen = new ResizeObserver(([one]) => setTall(one.contentRect.height));
      seen.observe(box.current);
      return () => seen.disconnect();
    }, []);
    const widths = useMemo(() => columns.map(widthOf), [columns]);
    const first = Math.max(0, Math.floor(top / ROW) - AHEAD);
    const last = Math.min(order.length, Math.ceil((top + tall) / ROW) + AHEAD);
    const at = Math.min(active, order.length - 1);
    useEffect(() => { if (box.current && top > order.length * ROW) box.current.scrollTop = 0; }, [order]);
    function move(to) {
      to = Math.max(0, Math.min(order.length - 1, to));
      setActive(to);
      const y = to * ROW, seen = box.current.clientHeight - ROW;
      if (y < box.current.scrollTop) box.current.scrollTop = y;
      else if (y + ROW > box.current.scrollTop + seen) box.current.scrollTop = y + ROW - seen;
    }
    function onKeyDown(event) {
      if (event.target.tagName === "BUTTON" || event.target.tagName === "INPUT") return;
      const page = Math.floor(tall / ROW) - 1;
      const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -1e9, End: 1e9 }[event.key];
      if (step) move(at + step);
      else if (event.key === "Enter" && onOpen && event.target === box.current) onOpen(order[at]);
      else if (event.key === " " && onSelect) onSelect(order[at]);
      else return;
      event.preventDefault();
    }
    return html`<div class="table" ref=${box} tabIndex="0" onScroll=${e => setTop(e.target.scrollTop)} style=${height ? { maxHeight: height } : {}}
        onKeyDown=${onKeyDown} role="region" aria-label=${label}>
      <table aria-rowcount=${order.length + 1} aria-label=${label} style=${{ minWidth: widths.reduce((a, b) => a + b, selected ? 34 : 0) + "px" }}>
        <colgroup>${selected && html`<col style=${{ width: "34px" }}/>`}${widths.map(w => html`<col style=${{ width: w + "px" }}/>`)}</colgroup>
        <thead><tr aria-rowindex="1">
          ${selected && html`<th scope="col"><span class="hidden">chosen</span></th>`}
          ${columns.map(one => {
            const is = sort && sort.replace(/^-/, "") === one.name;
            return html`<th scope="col" class=${isNumeric(one) ? "number" : ""} title=${one.name}
              aria-sort=${is ? (sort[0] === "-" ? "descending" : "ascending") : undefined}>
              ${onSort ? html`<button type="button" onClick=${() => onSort(is && sort[0] !== "-" ? "-" + one.name : is ? "" : one.name)}>
                ${group(one.name)}${one.label || short(one.name)}<i aria-hidden="true">${is ? (sort[0] === "-" ? " ↓" : " ↑") : ""}</i></button>`
                : html`<span>${group(one.name)}${one.label || short(one.name)}</span>`}</th>`;
          })}</tr></thead>
        <tbody>
          ${first > 0 && html`<tr class="gap" aria-hidden="true" key="before"><td style=${{ height: first * ROW + "px" }}/></tr>`}
          ${order.slice(first, last).map((row, i) => html`<tr key=${row} aria-rowindex=${first + i + 2}
            class=${(first + i === at ? "active " : "") + (selected?.has(row) ? "chosen" : "")}
            onClick=${() => setActive(first + i)} onDblClick=${() => onOpen && onOpen(row)}>
            ${selected && html`<td><input type="checkbox" aria-label=${`choose ${nameOf ? nameOf(row) : "this row"}`} checked=${selected.has(row)} onChange=${() => onSelect(row)}/></td>`}
            ${columns.map(one => {
              const value = one.values[row];
              return html`<td class=${isNumeric(one) ? "number" : ""} title=${one.type === "time" ? fullTime(value) : value == null ? "" : String(value)}>
                ${one.cell ? one.cell(value, row) : shown(value, one.type, one.name)}</td>`;
            })}</tr>`)}
          ${last < order.length && html`<tr class="gap" aria-hidden="true" key="after"><td style=${{ height: (order.length - last) * ROW + "px" }}/></tr>`}
        </tbody></table></div>`;
  }
  const isNumeric = one => one.type === "number" || one.type === "bytes";
  const group = name => /^params\./.test(name) ? html`<small>param</small> ` : /^metrics\./.test(name) ? html`<small>metric</small> ` : "";

  /** The box that says which columns are shown. */
  function Columns({ columns, shownNames, onChange }) {
    const [text, setText] = useState("");
    const box = useRef(null);
    useEffect(() => {
      const close = event => { if (box.current && !box.current.contains(event.target)) box.current.open = false; };
      addEventListener("pointerdown", close);
      return () => removeEventListener("pointerdown", close);
    }, []);
    const listed = columns.filter(one => one.name.toLowerCase().includes(text.toLowerCase()));
    const change = (name, on) => onChange(columns.map(one => one.name).filter(one => one === name ? on : shownNames.has(one)));
    return html`<details class="menu" ref=${box} onKeyDown=${e => { if (e.key === "Escape") { box.current.open = false; box.current.firstElementChild.focus(); } }}>
      <summary>Columns <small>${shownNames.size}/${columns.length}</small></summary>
      <div>
        <input type="search" placeholder="find a column" aria-label="find a column" value=${text} onInput=${e => setText(e.target.value)}/>
        <p><button type="button" onClick=${() => onChange(columns.map(one => one.name))}>all</button>
          <button type="button" onClick=${() => onChange(null)}>as at first</button></p>
        <ul>${listed.map(one => html`<li><label><input type="checkbox" checked=${shownNames.has(one.name)}
          onChange=${e => change(one.name, e.target.checked)}/> ${one.name}</label></li>`)}</ul>
      </div></details>`;
  }

  Object.assign(lakefolio, { Table, Columns, arranged, compiled, short, named });
}
