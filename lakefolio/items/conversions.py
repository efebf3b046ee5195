"""Arrow tables as pandas and polars frames, and polars frames as Arrow tables: exact, or an error names the column.

Integers with missing values become pandas' nullable integers (``Int64``), since its floats lose digits above 2**53.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import pyarrow as pa

from lakefolio.errors import InvalidInputError, LakefolioError, UnsupportedTypeError, brief
from lakefolio.format.parquet_columns import has_floats
from lakefolio.items.arrow_nested import children, rebuilt, with_children
from lakefolio.items.optional_imports import need

__all__ = ["checked", "from_polars", "is_failure", "lazy_frame", "polars_scans", "to_pandas", "to_polars"]


_NULLABLE: Final = {f"{sign}int{bits}": f"{sign.upper()}Int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}


def to_pandas(table: pa.Table) -> Any:
    """Return a table as a pandas frame.

    Raises:
        UnsupportedTypeError: If pandas can't hold the values of a column; ``column`` names it.
    """
    pd = need("pandas", "a pandas table")
    frame = checked(table, "pandas", lambda part: part.to_pandas(integer_object_nulls=True))
    for field, column in zip(table.schema, table.columns, strict=True):
        places = [place for place, label in enumerate(frame.columns) if label == field.name]  # none for an index level
        if pa.types.is_integer(column.type) and column.null_count and len(places) == 1:
            dtype = pd.api.types.pandas_dtype(_NULLABLE[str(column.type)])
            frame.isetitem(places[0], dtype.__from_arrow__(column))
    return frame


def lazy_frame(dataset: Any) -> Any:
    """Return a dataset of Arrow as a LazyFrame; of floats Polars filters itself: for it NaN is the largest number."""
    pl = need("polars", "a lazy frame")
    return pl.scan_pyarrow_dataset(dataset, allow_pyarrow_filter=not has_floats(dataset.schema))


def to_polars(table: pa.Table) -> Any:
    """Return a table as a polars frame.

    List views become lists, and decimals of 256 bits such of 128 bits if they fit; time zones that are offsets become
    UTC.

    Raises:
        UnsupportedTypeError: If polars has no type for a column; ``column`` names it.
    """
    pl = need("polars", "a polars table")
    frame = checked(table, "polars", lambda part: pl.from_arrow(_for_polars(part)))
    if frame.columns != table.column_names:  # polars calls a column without a name column_0
        frame.columns = table.column_names
    return frame


def from_polars(frame: Any) -> pa.Table:
    """Return a polars frame as an Arrow table.

    Raises:
        InvalidInputError: kind ``unsupported-column`` if a column has no counterpart in Arrow; ``column`` names it.
    """
    import polars as pl

    for name, dtype in frame.schema.items():
        if any((isinstance(part, type) and issubclass(part, pl.Object)) or part == pl.Object for part in _parts(dtype)):
            raise InvalidInputError(
                f"column {name!r} holds Python objects (polars dtype {dtype})",
                kind="unsupported-column",
                hint="cast the column first",
                column=name,
            )
    if nul := next((name for name in frame.columns if "\0" in name), None):
        raise InvalidInputError(
            f"the name of column {nul!r} holds a NUL, which polars can't hand to Arrow",
            kind="unsupported-column",
            hint="rename it",
            column=nul,
        )
    try:
        return frame.to_arrow()
    except BaseException as exc:
        if not is_failure(exc):
            raise
        failed = exc
    for name in frame.columns:
        try:
            frame.select(name).clear().to_arrow()
        except BaseException as exc:
            if not is_failure(exc):
                raise
            raise InvalidInputError(
                f"column {name!r} of the polars dtype {frame.schema[name]} has no counterpart in Arrow: {exc}",
                kind="unsupported-column",
                hint="cast the column first",
                column=name,
            ) from exc
    raise InvalidInputError(f"the table has no counterpart in Arrow: {failed}", kind="unsupported-column") from failed


def _parts(dtype: Any) -> Iterator[Any]:
    yield dtype
    if getattr(dtype, "inner", None) is not None:
        yield from _parts(dtype.inner)
    for field in getattr(dtype, "fields", ()):
        yield from _parts(field.dtype)


def polars_scans(schema: pa.Schema) -> bool:
    """Say whether polars reads a Parquet file of this schema itself; of some types it panics."""
    pl = need("polars", "a lazy frame")
    try:
        pl.from_arrow(schema.empty_table())
    except BaseException as exc:
        if not is_failure(exc):
            raise
        return False
    return all(_polars_type(field.type) == field.type for field in schema)


def checked(
    table: pa.Table,
    library: str,
    convert: Callable[[pa.Table], Any],
    hint: str = "use as_='arrow', or leave the column out with columns=",
) -> Any:
    """Return ``convert(table)``; if it fails, say which column of which type the library can't hold.

    Raises:
        UnsupportedTypeError: ``convert`` raised any error, polars' panics included, which are no ``Exception``.
    """
    try:
        return convert(table)
    except BaseException as exc:
        if not is_failure(exc):
            raise
        failed = exc
    for place, field in enumerate(table.schema):
        try:
            convert(table.select([place]))
        except BaseException as exc:
            if not is_failure(exc):
                raise
            raise UnsupportedTypeError(
                f"{library} can't hold column {field.name!r} of the type {field.type}: {brief(exc)}",
                kind="unsupported-column",
                hint=hint,
                column=field.name,
            ) from exc
    raise UnsupportedTypeError(
        f"{library} can't hold this table: {brief(failed)}", kind="unsupported-column", hint=hint
    ) from failed


def is_failure(exc: BaseException) -> bool:
    """Say whether an exception tells of a failed conversion; a panic of Rust derives from BaseException."""
    if isinstance(exc, (LakefolioError, MemoryError)):
        return False
    return isinstance(exc, Exception) or type(exc).__name__ == "PanicException"


def _for_polars(table: pa.Table) -> pa.Table:
    wanted = pa.schema([field.with_type(_polars_type(field.type)) for field in table.schema], table.schema.metadata)
    columns = [
        column
        if column.type == field.type
        else pa.chunked_array([_as(one, field.type) for one in column.chunks], field.type)
        for column, field in zip(table.columns, wanted, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=wanted) if columns else table


def _as(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if array.type == kind:
        return array
    return rebuilt(array, kind, _as) if children(kind) else array.cast(kind)


def _polars_type(kind: pa.DataType) -> pa.DataType:
    types = pa.types
    if types.is_timestamp(kind) and (kind.tz or "")[:1] in ("+", "-"):
        return pa.timestamp(kind.unit, "UTC")  # polars knows named time zones only; the instants stay the same
    if types.is_decimal256(kind):
        return pa.decimal128(min(kind.precision, 38), kind.scale)
    if types.is_list_view(kind) or types.is_large_list_view(kind):
        kind = (pa.list_ if types.is_list_view(kind) else pa.large_list)(kind.value_field)
    return with_children(kind, _polars_type)
