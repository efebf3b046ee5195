"""Adding tables: from memory, from files, and by reference."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from lakefolio.errors import InvalidInputError
from lakefolio.folio.adding import ColumnsFrom, put, put_reference, with_columns
from lakefolio.folio.open_folio import SelfT
from lakefolio.format.table_formats import stem_of
from lakefolio.items.table_import import Types, open_table_file
from lakefolio.process.places import printable
from lakefolio.session.annotations import Annotations, Inputs, Tags, as_list
from lakefolio.session.query_columns import answered

__all__ = ["add_query", "add_table", "import_table", "reference_table"]

_FORMATS = {
    "parquet": "parquet",
    "csv": "csv",
    "tsv": "tsv",
    "arrow": "arrow",
    "feather": "arrow",
    "delta": "delta",
}


def add_table(
    folio: SelfT,
    /,
    name: str | None,
    data: object,
    description: str | None = None,
    overwrite: bool = False,
    inputs: Inputs = None,
    models: Iterable[str] | None = None,
    code: str | None = None,
    *,
    tags: Tags = None,
    metadata: Mapping[str, object] | None = None,
    keep: bool = False,
    version: str | None = None,
    bump: str | None = None,
    columns_from: ColumnsFrom = None,
    preserve_index: bool | None = None,
) -> SelfT:
    """Add a table, streamed to Parquet: pandas, polars, pyarrow, a LazyFrame, or a record batch reader.

    A LazyFrame made from ``scan_table`` tells its inputs, where none are given, and the columns of each that Polars
    reads for each column of the result.

    Args:
        data: The table. Its index, types, categories, time zones and attributes come back.
        models: The models it was made with: inputs too, shown apart.
        preserve_index: Accepted for DataFolio; an index always comes back.
    """
    used = [models] if isinstance(models, str) else list(models or ())
    every = [*as_list(inputs), *used]
    facts = {"models": used or None, "code": code}
    annotations = Annotations.of(
        description, every, tags, metadata, facts, overwrite=overwrite, keep=keep, version=version, bump=bump
    )
    return put(folio, name, data, with_columns(annotations, columns_from), kind="table")


def add_query(
    folio: SelfT,
    /,
    name: str | None,
    sql: str,
    params: object = None,
    *,
    description: str | None = None,
    inputs: Inputs = None,
    tags: Tags = None,
    metadata: Mapping[str, object] | None = None,
    overwrite: bool = False,
    keep: bool = False,
    version: str | None = None,
    bump: str | None = None,
) -> SelfT:
    """Add the rows of a SQL query as a table, with the items that it reads as inputs. Streamed; one commit.

    The inputs are the exact versions that the query read. Which of their columns each column was made from, and which
    decided over its rows, is told from the parsed statement, where all of it is understood: ``lake.impact`` then goes
    by columns. The statement is noted as ``code``.

    Args:
        inputs: Further inputs, beside the items that the query reads.
        sql: One SELECT over items, ``from "folio:name"``, and views of the lake; see ``Lake.sql``.
        params: Values for its ``?``, ``$1`` or ``$name``.

    Raises:
        InvalidInputError: kind ``sql``: it is no such query.
    """
    folio._core.check_writable()
    found = answered(folio._core.session, sql, params)
    annotations = Annotations.of(
        description,
        [*found.inputs, *as_list(inputs)],
        tags,
        metadata,
        {"code": sql},
        overwrite=overwrite,
        keep=keep,
        version=version,
        bump=bump,
    )
    return put(folio, name, found.rows, replace(annotations, input_details=found.details), kind="table", used_up=True)


def import_table(
    folio: SelfT,
    /,
    name: str | None,
    path: str | Path,
    *,
    table_format: str | None = None,
    description: str | None = None,
    inputs: Inputs = None,
    tags: Tags = None,
    metadata: Mapping[str, object] | None = None,
    overwrite: bool = False,
    keep: bool = False,
    version: str | None = None,
    bump: str | None = None,
    block_size: int | None = None,
    types: Types = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    table: str | None = None,
) -> SelfT:
    """Add a table from a file of any size, streamed.

    Read are Parquet, CSV, TSV, JSON, NDJSON, Feather, Arrow, Excel (.xlsx), HDF5, SQLite and DuckDB files.

    Of files that can hold code only data is read: no view, trigger, macro, formula or pickle runs.

    The columns of a CSV file get types that lose nothing of its text: an id of 20 digits, a postal code with a
    leading zero and a number with more digits than a float holds keep them all. A warning names the columns whose
    numbers are therefore not int64 or float64. An empty cell is missing.

    Args:
        name: The name; None takes the file's, without extension, unless the folio has a pattern of names, which then
            fills it from ``metadata``.
        path: The file.
        table_format: ``parquet``, ``csv``, ``tsv``, ``json``, ``ndjson``, ``feather``, ``arrow``, ``excel``, ``hdf5``,
            ``sqlite`` or ``duckdb``; by default what the extension says (``.csv.gz`` is a compressed CSV).
        block_size: For CSV, how many bytes are parsed at once, at least those of the largest row; 8 MiB by default.
        types: For CSV, the types of columns by name (``{"zip": "string", "price": "decimal128(20, 2)"}``), or one
            for all; by default those that lose nothing.
        encoding: For CSV, the encoding of the text (``latin-1``, ``cp1252``, …); UTF-8 by default, or UTF-16 if
            the file says so.
        delimiter: For CSV, the character between cells; a comma by default, in a TSV a tab.
        table: Of Excel, HDF5, SQLite and DuckDB: which sheet, dataset or table; by default the only one.

    Raises:
        FileNotFoundError: The file does not exist.
        InvalidInputError: The format is unknown, or a value does not fit the type of its column.
    """
    folio._core.check_writable()
    source = Path(os.path.expanduser(path))
    if printable(str(source)) != str(source):
        raise InvalidInputError(
            f"path {printable(str(source))!r} is not UTF-8", kind="bad-path", hint="rename the file"
        )
    with open_table_file(
        source, table_format, block_size, types=types, encoding=encoding, delimiter=delimiter, table=table
    ) as reader:
        facts = {"imported_from": source.name}
        annotations = Annotations.of(
            description, inputs, tags, metadata, facts, overwrite=overwrite, keep=keep, version=version, bump=bump
        )
        if name is None and folio.naming() is None:
            name = stem_of(source.name)
        return put(folio, name, reader, annotations, kind="table", used_up=True)


def reference_table(
    folio: SelfT,
    /,
    name: str | None,
    path: str | Path | None = None,
    table_format: str | None = None,
    num_rows: int | None = None,
    version: int | str | None = None,
    description: str | None = None,
    inputs: Inputs = None,
    code: str | None = None,
    *,
    reference: str | Path | None = None,
    tags: Tags = None,
    metadata: Mapping[str, object] | None = None,
    overwrite: bool = False,
    keep: bool = False,
    bump: str | None = None,
) -> SelfT:
    """Add a table that lies elsewhere. Nothing is copied.

    Its size, ETag and version id are noted, and checked when it is read.

    Args:
        path: A path or URI.
        table_format: ``parquet``, ``csv``, ``tsv``, ``arrow``, ``feather`` or ``delta``; by default what
            the extension says, and ``parquet`` for a folder or a name without extension.
        num_rows: How many rows it has, if you know.
        version: Its own version, a number, for formats that have some; or a text, the label of the version of the item.
        reference: Another word for ``path``.

    Raises:
        InvalidInputError: The format is unknown, or the extension is one of no format that can be read.
    """
    where = path if path is not None else reference
    if where is None:
        raise InvalidInputError("no path was given to refer to", kind="bad-arguments", hint="pass path=")
    if table_format is not None and table_format not in _FORMATS:
        raise InvalidInputError(
            f"table format {table_format!r} is not one of {', '.join(_FORMATS)}",
            kind="bad-format",
            format=table_format,
        )
    label = version if isinstance(version, str) else None
    facts = {"code": code, "num_rows": num_rows, "version": version if label is None else None}
    words = {"overwrite": overwrite, "keep": keep}
    annotations = Annotations.of(description, inputs, tags, metadata, facts, **words, version=label, bump=bump)
    options = {} if table_format is None else {"format": _FORMATS[table_format]}
    return put_reference(folio, name, where, annotations, kind="table", options=options)
