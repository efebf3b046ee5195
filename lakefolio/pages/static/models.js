// Registered models: versions, the aliases that name them, and who moved those when.
"use strict";
{
  const { html, useAnswer, Shown, Empty, Time, href, counted, refLink } = lakefolio;
  const named = number => number == null ? html`<span class="muted">nothing</span>` : `v${number}`;

  /** What a version was made from; of an output of a run without the folio, as the run stands beside it. */
  function Source({ of }) {
    const match = /^runs\/[^:]+:(.+?)@(\d+)$/.exec(of || "");
    return match ? html`<a class="item" href=${href("item", { ref: of })}><span>${match[1]}</span> <small>@${match[2]}</small></a>` : of && refLink(of);
  }
  const Aliases = ({ of }) => of.map(alias => html`<span class="tag">${alias}</span> `);

  function Registered({ model, runs }) {
    return html`<section aria-label=${`model ${model.name}`}><h2>${model.name} <small>${counted(model.version_count, "version")}</small></h2>${model.description && html`<p>${model.description}</p>`}
      ${model.versions.length ? html`<div class="scroll"><table class="rows"><thead><tr><th scope="col">version</th><th scope="col">aliases</th><th scope="col">run</th><th scope="col">made from</th><th scope="col">registered</th><th scope="col">author</th><th scope="col">description</th></tr></thead>
        <tbody>${model.versions.map(one => html`<tr><td><a href=${href("item", { ref: one.ref })}>v${one.number}</a></td><td><${Aliases} of=${one.aliases}/></td>
          <td>${one.run_id && (runs[one.run_id] ? html`<a href=${href("run", { id: one.run_id })}>${runs[one.run_id]}</a>` : html`<code>${one.run_id}</code>`)}</td>
          <td><${Source} of=${one.source}/></td><td><${Time} at=${one.created_at}/></td><td>${one.author}</td><td>${one.description}</td></tr>`)}</tbody></table></div>
        ${model.version_count > model.versions.length && html`<p class="muted">the newest ${model.versions.length} are shown</p>`}` : html`<p class="muted">no versions yet</p>`}
      ${model.moves.length > 0 && html`<details><summary>${counted(model.moves.length, "move")} of aliases</summary><div class="scroll"><table class="rows"><thead><tr><th scope="col">alias</th><th scope="col">from</th><th scope="col">to</th><th scope="col">when</th><th scope="col">author</th><th scope="col" class="number">lake version</th></tr></thead>
        <tbody>${model.moves.map(one => html`<tr><td>${one.alias}</td><td>${named(one.before)}</td><td>${named(one.after)}</td><td><${Time} at=${one.moved_at}/></td><td>${one.author}</td><td class="number"><a href=${href("diff", { a: one.version - 1, b: one.version })}>@${one.version}</a></td></tr>`)}</tbody></table></div></details>`}</section>`;
  }

  function Models() {
    const answer = useAnswer("models", {});
    return html`<${Shown} of=${answer}>${data => data.models.length ? html`<article><header><h1>Models</h1></header>${data.models.map(one => html`<${Registered} key=${one.name} model=${one} runs=${data.run_names}/>`)}
        ${data.total > data.models.length && html`<p class="muted">the first ${data.models.length} of ${counted(data.total, "model")} are shown</p>`}</article>`
      : html`<${Empty} title="No registered models"><p>Give versions of a model one name, and let an alias name the one to use:</p><pre>lake.register_model("churn", run.log_model(clf), alias="production")</pre></${Empty}>`}</${Shown}>`;
  }

  Object.assign(lakefolio, { Models });
}
