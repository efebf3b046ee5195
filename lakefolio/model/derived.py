"""The tables ``lineage`` and ``metadata``: one row for each input and each fact of the journal's rows (pure: no I/O).

A row of the journal carries all its inputs and facts. An entry that is put again (by a restore or an archive) repeats
them, so only its first row counts here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.format.schema import FACT_TYPE, INPUT_TYPE, LINEAGE_SCHEMA, METADATA_SCHEMA

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["DERIVED", "derive"]

DERIVED = ("lineage", "metadata")
"""The tables that are derived from the journal."""


def derive(name: str, manifests: pa.Table) -> pa.Table:
    """Return ``lineage`` or ``metadata`` as it follows from rows of ``manifests``, which are in order."""
    if name == "lineage":
        rows, inputs, ordinals = _exploded(manifests, "inputs")
        is_put = pc.equal(rows.column("op"), "put")
        columns = {
            "output_kind": pc.if_else(is_put, "entry", "run"),
            "output_id": pc.if_else(is_put, rows.column("entry_id"), rows.column("run_id")),
            "output_folio": rows.column("folio"),
            "output_item": rows.column("item"),
            **{field.name: inputs.field(field.name) for field in INPUT_TYPE},
        }
        schema = LINEAGE_SCHEMA
    else:
        rows, facts, ordinals = _exploded(manifests, "facts")
        op = rows.column("op")
        is_put, is_run, in_folio = pc.equal(op, "put"), pc.equal(op, "run"), pc.is_valid(rows.column("folio"))
        names = pc.if_else(in_folio, "folio", "lake")
        columns = {
            "subject_kind": pc.if_else(is_put, "entry", pc.if_else(is_run, "run", names)),
            "subject_id": pc.if_else(
                is_put,
                rows.column("entry_id"),
                pc.if_else(is_run, rows.column("run_id"), pc.fill_null(rows.column("folio"), "")),
            ),
            "folio": rows.column("folio"),
            "item": rows.column("item"),
            **{field.name: facts.field(field.name) for field in FACT_TYPE},
        }
        schema = METADATA_SCHEMA
    columns |= {"version": rows.column("version"), "commit_id": rows.column("commit_id"), "ordinal": ordinals}
    table = pa.table([columns[field.name] for field in schema], names=schema.names)
    subject = "output_id" if name == "lineage" else "subject_id"
    whole = pc.is_valid(table.column(subject))  # a row written by hand may name no subject
    return (table if pc.all(whole).as_py() is not False else table.filter(whole)).cast(schema)


def _exploded(manifests: pa.Table, column: str) -> tuple[pa.Table, pa.Array, pa.Array]:
    """Return for each member of a list column its row, the member, and its place in the list."""
    count = pc.fill_null(pc.list_value_length(manifests.column(column)), 0)
    said = pc.and_(
        pc.greater(count, 0), pc.is_in(manifests.column("op"), value_set=pa.array(["put", "run", "annotate"]))
    )
    names = ["version", "commit_id", "op", "folio", "item", "entry_id", "run_id", column]
    rows = manifests.select(names).filter(said)
    rows = rows.filter(pa.array(_first(rows))).combine_chunks()
    if not rows.num_rows:
        return rows, pa.array([], manifests.schema.field(column).type.value_type), pa.array([], pa.int32())
    lists = rows.column(column).chunk(0)
    of_row = pc.list_parent_indices(lists)
    ends = np.cumsum(pc.list_value_length(lists).to_numpy(zero_copy_only=False))
    starts = np.concatenate([[0], ends[:-1]])
    ordinals = np.arange(len(of_row)) - starts[of_row.to_numpy(zero_copy_only=False)]
    return rows.take(of_row), pc.list_flatten(lists), pa.array(ordinals.astype(np.int32))


def _first(rows: pa.Table) -> npt.NDArray[np.bool_]:
    """Say of each row whether it is the first of its entry; rows that put none are."""
    ids = pc.if_else(pc.equal(rows.column("op"), "put"), rows.column("entry_id"), None)
    codes = pc.fill_null(_codes(ids), -1).to_numpy(zero_copy_only=False)
    first: npt.NDArray[np.bool_] = codes < 0
    _, index = np.unique(codes, return_index=True)
    first[index] = True
    return first


def _codes(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    whole = pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole
    return whole.dictionary_encode().indices
