"""A published folio as a dataset of MLCommons Croissant.

Source: Croissant format specification 1.0, https://docs.mlcommons.org/croissant/docs/croissant-spec.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from lakefolio.interop.publishing.description import Description
from lakefolio.interop.publishing.files import PublishedFile, columns_of

__all__ = ["croissant"]

_CONTEXT: Final[dict[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_TYPES: Final = (  # Arrow's types by name
    (re.compile(r"u?int\d+"), "sc:Integer"),
    (re.compile(r"halffloat|float|double|decimal.*"), "sc:Float"),
    (re.compile(r"bool"), "sc:Boolean"),
    (re.compile(r"timestamp.*"), "sc:DateTime"),
    (re.compile(r"date\d+.*"), "sc:Date"),
    (re.compile(r"time\d+.*"), "sc:Time"),
    (re.compile(r"(large_|fixed_size_)?(string|binary)(_view)?.*|null"), "sc:Text"),
)
_CATEGORY: Final = re.compile(r"dictionary<values=(.*), indices=u?int\d+, ordered=\d>")
_LIST: Final = re.compile(r"(?:large_|fixed_size_)?list(?:_view)?<\w+: (.*?)(?: not null)?>(?:\[\d+\])?")


def croissant(told: Description) -> dict[str, Any]:
    """Return the content of ``croissant.json``; ``mlcroissant validate`` finds no error in it."""
    files = [one for one in told.files if _digest(one)]  # Croissant has no file without one
    ids = _Ids()
    names = ", ".join(one.name for one in told.authors)
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": re.sub(r"[^A-Za-z0-9_.-]+", "-", told.name).strip("-") or "dataset",
        "alternateName": told.name,
        "description": told.description,
        "license": told.license,
        "url": told.url,
        "version": f"{told.version}.0.0",
        "datePublished": told.published_at.isoformat(),
        "creator": [{"@type": "sc:Person", "name": one.name} for one in told.authors],
        **({"publisher": {"@type": "sc:Organization", "name": told.publisher}} if told.publisher else {}),
        "citeAs": f"{names}: {told.name}, version {told.version}, {told.published_at:%Y-%m-%d}",
        "distribution": [_file(one, ids) for one in files],
        "recordSet": list(_tables(files, ids)),
    }


class _Ids:
    """Gives each name a unique id that Croissant accepts: without white space."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def of(self, name: str) -> str:
        """Return the id of a name, the same each time."""
        if name not in self._known:
            found = plain = re.sub(r"\s", "_", name)
            taken, number = set(self._known.values()), 1
            while found in taken:
                number += 1
                found = f"{plain}_{number}"
            self._known[name] = found
        return self._known[name]


def _digest(one: PublishedFile) -> str | None:
    return one.sha256 or (one.entry.digest or "").removeprefix("sha256:") or None


def _file(one: PublishedFile, ids: _Ids) -> dict[str, Any]:
    found = {
        "@type": "cr:FileObject",
        "@id": ids.of(one.path),
        "name": one.path,
        "contentUrl": one.path,
        "encodingFormat": one.media_type.replace("vnd.apache.parquet", "x-parquet"),
        "sha256": _digest(one),
    }
    if one.entry.description:
        found["description"] = one.entry.description
    if one.size_bytes is not None:
        found["contentSize"] = f"{one.size_bytes} B"
    return found


def _tables(files: Sequence[PublishedFile], ids: _Ids) -> Iterator[dict[str, Any]]:
    for one in files:
        columns = columns_of(one.entry) if one.entry.kind == "table" and one.is_local else []
        name = f"table/{one.entry.item}"
        fields = [
            {
                "@type": "cr:Field",
                "@id": ids.of(f"{name}/{column}"),
                "name": f"{name}/{column}",
                **typed,
                "source": {"fileObject": {"@id": ids.of(one.path)}, "extract": {"column": column}},
            }
            for column, dtype in columns
            if (typed := _type(dtype))
        ]
        if not fields:
            continue
        found = {"@type": "cr:RecordSet", "@id": ids.of(name), "name": name, "field": fields}
        untyped = [f"{column} ({dtype})" for column, dtype in columns if not _type(dtype)]
        text = [one.entry.description or "", f"Croissant has no type for: {', '.join(untyped)}." if untyped else ""]
        yield found | ({"description": " ".join(filter(None, text))} if any(text) else {})


def _type(dtype: str) -> dict[str, Any]:
    """Return the words for an Arrow type; none where Croissant has none, as its readers would get wrong values."""
    category = _CATEGORY.fullmatch(dtype)
    several = _LIST.fullmatch(dtype)
    plain = category[1] if category else several[1] if several else dtype
    found = next(({"dataType": kind} for pattern, kind in _TYPES if pattern.fullmatch(plain)), {})
    return found | {"repeated": True} if found and several else found
