"""What a run uses and makes: its inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lakefolio.errors import AlreadyExistsError, InvalidInputError
from lakefolio.format.names import check_item, parse_ref
from lakefolio.model.changes import SetRun
from lakefolio.model.resolve import check_run
from lakefolio.runs.given_data import reference_of
from lakefolio.runs.record import RunInput, RunOutput, manifest_of
from lakefolio.session.annotations import Annotations
from lakefolio.session.input_tracking import ActiveRun
from lakefolio.session.path_like_text import warn_of_path
from lakefolio.session.read_trace import unwatched
from lakefolio.session.record_tables import marked, reader_of

if TYPE_CHECKING:
    from lakefolio.runs.run import Run

__all__ = ["add_input", "add_output", "input"]


def input(run: Run, /, ref: str, name: str | None = None, **options: object) -> Any:
    """Return the object of an item, and record that the run uses exactly this entry. One commit.

    Args:
        ref: ``folio:item``, ``folio:item@version`` or ``folio:item@snapshot``.
        name: The name of the input in the run; by default the item's name.
        **options: Options of the ``get`` for that kind (``as_="polars"``, …).

    Raises:
        NotFoundError: No such item or version; the hint names the nearest item.
        InvalidInputError: kind ``bad-ref``: the reference names no folio; ``run-ended``.
    """
    run._check_open()
    parsed = parse_ref(ref)
    if parsed.folio is None:
        raise InvalidInputError(f"input {ref!r} names no folio", kind="bad-ref", hint="write folio:name", ref=ref)
    entry = run._session.entry(parsed.folio, parsed.item, parsed.at)
    reader = reader_of(run._session, entry, parsed.at)
    if parsed.at is None and (exact := marked(run._session, entry)) is not entry:
        entry, reader = exact, run._session.fixed(exact.version)
    obj = reader.load(entry, **options)
    run.add_input(name or parsed.item, entry, again=True)
    run._reads.read(entry)
    return obj


def add_input(run: Run, /, name: str, data: object, *, again: bool = False) -> RunInput:
    """Record an input of the run. One commit.

    Data that the lake holds already is referred to by its exact version; other data is stored in the folio ``inputs``.

    Args:
        name: The name of the input in the run.
        data: An object, a reference ``folio:item[@version]``, an entry, or the URI of external data.
        again: Whether to accept an input that is recorded already under this name, if it is the same.

    Raises:
        AlreadyExistsError: kind ``input-exists``: the run has another input of that name.
        NotFoundError: No such item.
    """
    check_item(name)
    with run._lock:
        run._check_open()
        with unwatched():
            known = [] if run._session.in_batch else manifest_of(run._session, run.run_id).inputs
        taken = next((one for one in known if one.name == name), None)
        with run._session.batch():
            ref = reference_of(run._session, name, data)
            if taken is not None and taken.ref == ref and again:
                return taken
            if taken is not None:
                raise AlreadyExistsError(
                    f"run {run.run_id!r} has an input {name!r} already: {taken.ref}",
                    kind="input-exists",
                    hint="give this one another name",
                    run_id=run.run_id,
                    name=name,
                )
            run._reads.know(name, ref)
            run._session.apply(SetRun(run_id=run.run_id, values={}, alive=True, input_names=(name,), input_refs=(ref,)))
    return _found_input(run, name, ref)


def _found_input(run: Run, name: str, ref: str) -> RunInput:
    if run._session.in_batch:
        return RunInput(name, ref)
    with unwatched():
        return next(one for one in manifest_of(run._session, run.run_id).inputs if one.name == name)


def add_output(
    run: Run,
    /,
    name: str,
    obj: object,
    *,
    to: str | None = None,
    overwrite: bool = False,
    keep: bool = False,
    description: str | None = None,
    tags: str | Iterable[str] | None = None,
    metadata: Mapping[str, object] | None = None,
    inputs: str | Iterable[object] | None = None,
    **options: object,
) -> RunOutput:
    """Store an output of the run. One commit, atomic; the entry names the run.

    Args:
        name: The item's name.
        obj: Any object that a folio stores.
        to: The folio, or ``folio:item``; by default the run's own.
        overwrite: Whether to replace an item of that name; its old entry stays in the history.
        keep: Whether description, tags and metadata that are not given are carried over from the old entry.
        description: One sentence that describes it.
        tags: Words to find it by.
        metadata: Facts about it; JSON values.
        inputs: Items it was made from, besides the run's inputs.
        **options: Options of the handler of that kind.

    Raises:
        AlreadyExistsError: kind ``item-exists``: the name is taken.
        InvalidInputError: kind ``run-ended``: it was ended, be it by another process.
    """
    run._check_open()
    going_on = SetRun(run_id=run.run_id, values={}, alive=True)
    check_run(going_on, run._session.metadata_texts("run", run.run_id))  # before anything is encoded or sent
    folio, item = run.folio, check_item(name)
    if to is not None:
        folio, mark, named = to.partition(":")
        item = check_item(named) if mark else item
    warn_of_path(item, obj)
    with run._session.in_run(ActiveRun(run.run_id, run._reads)):
        run._session.put(
            folio,
            item,
            obj,
            Annotations.of(description, inputs, tags, metadata, overwrite=overwrite, keep=keep),
            options=options,
            provided=going_on,
        )
    entry = run._session.entry(folio, item)
    return RunOutput(item, entry.ref, entry.digest, entry.size_bytes, entry.entry_id, entry.kind)
