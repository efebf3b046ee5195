"""Publishing a folio: its files and their description, in the wanted forms."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from lakefolio.errors import (
    InvalidInputError,
    LakefolioError,
    NotFoundError,
    PlaceTakenError,
    UnsupportedTypeError,
    nearest,
)
from lakefolio.interop.publishing.croissant import croissant
from lakefolio.interop.publishing.description import Author, Description, license_address
from lakefolio.interop.publishing.files import PublishedFile, write_files
from lakefolio.interop.publishing.ro_crate import ro_crate
from lakefolio.lake import Lake
from lakefolio.process.keywords import explained
from lakefolio.process.local_files import outside_lakes
from lakefolio.process.local_files import publish as publish_locally
from lakefolio.render.report import Report
from lakefolio.runs.record import RunManifest
from lakefolio.terminal import shown_value

__all__ = ["FORMS", "publish"]

_FOUND_ANYWHERE: Final = ("s3://", "gs://", "az://")
FORMS: Final[Mapping[str, tuple[str, Callable[[Description], dict[str, Any]]]]] = {
    "croissant": ("croissant.json", croissant),
    "ro-crate": ("ro-crate-metadata.json", ro_crate),
}
"""Form -> the file with the description, and the function that writes it."""


@explained
def publish(
    lake: Lake,
    folio: str,
    target: str | Path,
    forms: Iterable[str],
    *,
    title: str | None = None,
    description: str | None = None,
    license: str | None = None,
    authors: Iterable[str] = (),
    affiliation: str | None = None,
    publisher: str | None = None,
    url: str | None = None,
) -> Report:
    """Write a folio as a folder with its files and a description of each form; it appears when it is complete.

    The folio's metadata ``title``, ``description``, ``license``, ``authors``, ``affiliation``, ``publisher`` and
    ``url`` replace arguments that are not given. An author there may be ``{"name": …, "affiliation": …}``. Archived
    items are left out.

    Args:
        lake: The lake, at the version to publish: ``lake.at("paper-v1")``.
        folio: The folio.
        target: The folder, which must not exist or be empty.
        forms: ``croissant``, ``ro-crate`` or both.
        title: Its title; by default the folio's name.
        description: A sentence or more about it.
        license: An SPDX identifier (``CC-BY-4.0``) or an address.
        authors: Names of people; by default the authors of the commits of its items.
        affiliation: The organisation of the authors who have none of their own.
        publisher: The organisation that publishes it.
        url: Where it will be found; by default the address of a lake in a bucket, and for other lakes a name made of
            the lake's id (``urn:uuid:…``), since a path of this computer leads nobody anywhere.

    Returns:
        ``path``, ``files``, ``size_bytes``, ``version``, ``forms``.

    Raises:
        NotFoundError: There is no such folio.
        InvalidInputError: kind ``no-license``: nobody said under which licence it is. ``bad-license``: it is given in
            another form. ``bad-authors``: the authors are no names. ``bad-path``: the folder can't be made.
            ``inside-lake``: it lies in the folder of a lake.
        PlaceTakenError: Something is at ``target``.
        StorageError: kind ``local-write-failed``.
    """
    words = {"title": title, "description": description, "license": license, "url": url}
    for word, text in {**words, "affiliation": affiliation, "publisher": publisher}.items():
        if not isinstance(text, str | None):  # nothing that follows would look
            raise UnsupportedTypeError(
                f"publish() got {word}={shown_value(text):.60}, expected str", kind="bad-argument"
            )
    chosen = list(dict.fromkeys([forms] if isinstance(forms, str) else forms))
    for form in chosen:
        if form not in FORMS:
            raise InvalidInputError(f"there is no form {form!r}", kind="bad-form", hint=nearest(form, FORMS), name=form)
    version = lake.version
    steady = lake.at(version)
    held = steady.folio(folio)
    entries = steady.items(folio, archived=False)
    if not entries:
        raise NotFoundError(
            f"folio {folio!r} has no items", kind="folio-not-found", hint=nearest(folio, steady.folios()), folio=folio
        )
    said = dict(held.metadata)
    terms = license or said.get("license")
    if not isinstance(terms, str) or not terms:
        raise InvalidInputError(
            f"folio {folio!r} has no licence, which a publication needs",
            kind="no-license",
            hint='give one by --license or license=, or note it: folio.metadata["license"] = "CC-BY-4.0"',
            folio=folio,
        )
    terms = license_address(terms, folio)
    place = _place(target)
    files: list[PublishedFile] = []
    given = authors if isinstance(authors, str) else list(authors)
    people = _authors(
        given or said.get("authors") or _committers(entries), affiliation or _text(said, "affiliation"), folio
    )

    def write(scratch: Path) -> None:
        scratch.mkdir()
        files.extend(write_files(held, entries, scratch))
        told = Description(
            name=title or str(said.get("title") or folio),
            description=description or str(said.get("description") or f"Folio {folio} of a lakefolio lake."),
            license=terms,
            authors=people,
            publisher=publisher or _text(said, "publisher"),
            url=url or _text(said, "url") or f"{_address(lake)}#{folio}@{version}",
            version=version,
            published_at=max((one.committed_at for one in entries), default=datetime.now(UTC)),
            files=files,
            runs=_runs(lake, entries),
        )
        for form in chosen:
            name, describe = FORMS[form]
            text = json.dumps(describe(told), indent=2, ensure_ascii=False, sort_keys=False)
            # half a character, in a title, becomes its escape, which is JSON too
            (scratch / name).write_bytes(text.encode(errors="backslashreplace") + b"\n")

    publish_locally(place, write, over_empty=True)
    return Report(
        path=str(place),
        files=len([one for one in files if one.is_local]),
        size_bytes=sum(one.size_bytes or 0 for one in files if one.is_local),
        version=version,
        forms=", ".join(chosen),
    )


def _place(target: str | Path) -> Path:
    """Return the folder to write, which is not there or empty; its parents are made."""
    try:
        place = Path(os.path.abspath(Path(target).expanduser()))
        outside_lakes(place)
        if os.path.lexists(place) and (not place.is_dir() or any(place.iterdir()) or place == Path.cwd()):
            raise PlaceTakenError(
                f"{str(place)!r} exists already, or is the working directory",
                hint="name a new folder, or an empty one that nobody is in",
                path=str(place),
            )
        place.parent.mkdir(parents=True, exist_ok=True)
    except LakefolioError:
        raise
    except (OSError, ValueError, RuntimeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else str(exc)
        raise InvalidInputError(
            f"folder {str(target)!r} can't be made: {reason}", kind="bad-path", path=str(target)
        ) from exc
    return place


def _text(said: Mapping[str, object], name: str) -> str | None:
    """Return what the metadata of a folio says under a name, as text."""
    found = said.get(name)
    return None if found in (None, "") else str(found)


def _address(lake: Lake) -> str:
    """Return the address of a lake in a bucket, or of any other its id: a local path is nobody else's business."""
    return lake.uri if lake.uri.startswith(_FOUND_ANYWHERE) else f"urn:uuid:{UUID(lake.lake_id)}"


def _authors(authors: object, affiliation: str | None, folio: str) -> list[Author]:
    """Return the authors, who may be given as one name, as names, or as objects with a name and an affiliation."""
    listed = authors if isinstance(authors, list) else [authors]
    pairs = [(one.get("name"), one.get("affiliation")) if isinstance(one, Mapping) else (one, None) for one in listed]
    found = [
        Author(name, own if isinstance(own, str) and own else affiliation)
        for name, own in pairs
        if isinstance(name, str) and name
    ]
    if len(found) != len(pairs):
        raise InvalidInputError(
            f"authors of folio {folio!r} are not all names",
            kind="bad-authors",
            hint='write folio.metadata["authors"] = ["Ada Lovelace"]',
            folio=folio,
        )
    return found


def _committers(entries: Iterable[Any]) -> list[str]:
    return sorted({one.author for one in entries if one.author}) or ["unknown"]


def _runs(lake: Lake, entries: Iterable[Any]) -> list[RunManifest]:
    found = []
    for run_id in dict.fromkeys(one.run_id for one in entries if one.run_id):
        try:
            found.append(lake.get_run(run_id))
        except LakefolioError:
            continue  # an item whose run can't be read is published all the same
    return found
