"""The registered models of a lake, and the registering of another version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakefolio.errors import InvalidInputError, NotFoundError, nearest
from lakefolio.format.names import check_run_id, parse_ref
from lakefolio.lake.models import Model, ModelVersion, check_alias
from lakefolio.lake.registry import Registry
from lakefolio.render import html
from lakefolio.session.annotations import check_tags, check_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lakefolio.lake.lake import Lake
    from lakefolio.runs.record import RunOutput

__all__ = ["Models", "model", "models", "register_model"]


class Models(list[Model]):
    """The registered models of a lake, by name. A list."""

    def rows(self) -> list[dict[str, Any]]:
        """Return one dict a model: name, versions, aliases, the latest version and when it was registered."""
        found = []
        for one in self:
            versions = one.versions()
            last = versions[-1] if versions else None
            found.append(
                {
                    "name": one.name,
                    "versions": len(versions),
                    "latest": last and last.number,
                    "aliases": one.aliases,
                    "registered_at": last and last.created_at,
                    "run_id": last and last.run_id,
                    "description": one.description,
                }
            )
        return found

    def __repr__(self) -> str:
        return "\n".join(map(repr, self)) or "no registered models"

    def _repr_html_(self) -> str:
        names = ("name", "versions", "aliases", "registered_at", "description")
        rows = [
            [{**row, "aliases": ", ".join(f"{a} is v{n}" for a, n in row["aliases"].items())}[name] for name in names]
            for row in self.rows()
        ]
        return html.block(html.row_table(names, rows, right=("versions",)))


def models(lake: Lake, /) -> Models:
    """Return the registered models, by name; MLflow's registry on this lake shows the same ones."""
    return Models(Model(lake, name) for name in sorted(Registry(lake).models()))


def model(lake: Lake, /, name: str) -> Model:
    """Return a registered model: its versions, its aliases, and their history.

    Args:
        name: Its name.

    Raises:
        NotFoundError: kind ``model-not-found``; the hint names the nearest.
    """
    found = Model(lake, name)
    found._fields()
    return found


def register_model(
    lake: Lake,
    /,
    name: str,
    source: str | RunOutput,
    *,
    description: str | None = None,
    tags: str | Iterable[str] | None = None,
    alias: str | None = None,
) -> ModelVersion:
    """Make an item the next version of a registered model, which is made if there is none of that name.

    The version is an item of its own with the same content, stored once, and made from exactly that entry, so that its
    lineage leads to the run. Safe beside others who register: each gets a number of their own. One commit, another one
    for a new name, and one for the alias.

    Args:
        name: The model: text without ``/``.
        source: The item: ``folio:item``, also of the past; ``run:output`` with the id or name of a run where no folio
            is called so; or an output as ``run.log_model`` returns it.
        description: One sentence on this version.
        tags: Words to find it by.
        alias: Let this alias name it from now on.

    Raises:
        NotFoundError: There is no such item.
        InvalidInputError: A name or alias that can't be used.
    """
    lake._session.check_writable()
    check_run_id(name)
    if alias is not None:
        check_alias(alias)
    words = check_tags(tags)
    text = source if isinstance(source, str) else getattr(source, "ref", None)
    if not isinstance(text, str) or parse_ref(text).folio is None:
        raise InvalidInputError(
            f"{source!r:.80} names no item",
            kind="bad-ref",
            hint="write 'folio:item', or pass what run.log_model returned",
        )
    entry = lake.item(_output_of_run(lake, text))
    lake._session.blobs.source(entry) if entry.storage != "reference" else None
    registry = Registry(lake)
    if registry.model(name) is None:
        registry.create(name, {})
    run_id = entry.run_id or next((one["input_id"] for one in entry.inputs if one["input_kind"] == "run"), None)
    fields = {
        "description": check_text(description, "description"),
        "source": entry.ref,
        "run_id": run_id,
        "author": lake.author,
        **{f"tags.{one}": "" for one in words},
    }
    number = registry.add_version(name, fields, content=entry)
    found = Model(lake, name)
    if alias is not None:
        found.promote(number, alias)
    return found.version(number)


def _output_of_run(lake: Lake, text: str) -> str:
    """Return the reference of an output that is given as ``run:output``; any other text as it is."""
    ref = parse_ref(text)
    if ref.folio is None or ref.at is not None or ref.folio in lake.folios():
        return text
    try:
        outputs = lake.get_run(ref.folio).outputs
    except NotFoundError:
        return text
    found = [one.ref for one in outputs if one.name == ref.item]
    if not found:
        raise NotFoundError(
            f"run {ref.folio!r} has no output {ref.item!r}",
            kind="item-not-found",
            hint=nearest(ref.item, [one.name for one in outputs]) if outputs else "it has none",
            folio=ref.folio,
            item=ref.item,
        )
    return found[-1]
