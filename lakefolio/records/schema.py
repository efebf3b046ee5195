"""What a record table says of its rows: columns, key, checks and migrations (pure: no I/O; FORMAT.md, "Record tables").

Types and NOT NULL are the schema of the Delta table itself, checks are its constraints, so other engines keep them,
too. The key and the history of migrations are notes in its configuration, which other engines carry along.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

import pyarrow as pa

from lakefolio.errors import FormatError, InvalidInputError, nearest
from lakefolio.format.checked_json import listed, mapped, text, texts
from lakefolio.records.expressions import Condition, column_text, condition, value_text
from lakefolio.records.types import JSON_NOTE, from_delta, is_json, parse_type, shown_type, to_delta, uses_naive_times
from lakefolio.redaction import scrub

__all__ = ["Column", "TableSchema", "declared"]

_CONSTRAINT: Final = "delta.constraints."
_KEY: Final = "lakefolio.key"
_MIGRATIONS: Final = "lakefolio.migrations"
_CONFIGURATION: Final = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
}
_LONGEST_NAME: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a record table.

    Attributes:
        type: ``int64``, ``double``, ``string``, ``bool``, ``date``, ``timestamp`` (UTC), ``timestamp_ntz`` (without
            zone), ``binary``, ``decimal(10, 2)``, ``json``, ``list<double>``, ``struct<x: double>``,
            ``map<string, int64>``, other widths of numbers; or an Arrow or Python type.
        null: Whether values may be missing.
        min: The least value, or None.
        max: The greatest value, or None.
        values: All values that are allowed, or None.
        description: One sentence, for people.
    """

    type: object = "string"
    null: bool = True
    min: Any = None
    max: Any = None
    values: Sequence[Any] | None = None
    description: str | None = None


@dataclass(frozen=True)
class TableSchema:
    """The declared schema of a record table.

    Attributes:
        arrow: Its columns; nullable or not, with Delta's notes in their metadata.
        key: The columns whose values together are unique and never missing; empty for none.
        checks: Name -> condition that is true for every row.
        migrations: What changed the schema since, the oldest first: ``version``, ``at``, ``author``, ``reason``,
            ``change``.
        configuration: Other properties of the Delta table.
    """

    arrow: pa.Schema
    key: tuple[str, ...] = ()
    checks: Mapping[str, str] = field(default_factory=dict)
    migrations: tuple[Mapping[str, Any], ...] = ()
    configuration: Mapping[str, str] = field(default_factory=lambda: _CONFIGURATION)

    @cached_property
    def conditions(self) -> dict[str, Condition]:
        """The checks, read; InvalidInputError (kind ``bad-condition``) for one that can't be."""
        return {name: condition(one, self.arrow) for name, one in self.checks.items()}

    @property
    def protocol(self) -> dict[str, Any]:
        """The least Delta protocol that writers of such a table must know."""
        if not uses_naive_times(self.arrow.types):
            return {"minReaderVersion": 1, "minWriterVersion": 3 if self.checks else 2}
        features = ["timestampNtz", "appendOnly", "invariants", *(["checkConstraints"] if self.checks else [])]
        return {
            "minReaderVersion": 3,
            "minWriterVersion": 7,
            "readerFeatures": ["timestampNtz"],
            "writerFeatures": features,
        }

    def metadata(self, table_id: str, created_ms: int) -> dict[str, Any]:
        """Return the ``metaData`` action."""
        configuration = dict(self.configuration)
        configuration |= {_CONSTRAINT + name: one for name, one in self.checks.items()}
        if self.key:
            configuration[_KEY] = json.dumps(list(self.key))
        if self.migrations:
            configuration[_MIGRATIONS] = json.dumps(list(self.migrations))
        return {
            "id": table_id,
            "format": {"provider": "parquet", "options": {}},
            "schemaString": to_delta(self.arrow),
            "partitionColumns": [],
            "configuration": configuration,
            "createdTime": created_ms,
        }

    @classmethod
    def of(cls, schema_string: str, configuration: Mapping[str, str]) -> TableSchema:
        """Read what :meth:`metadata` wrote, or another engine; FormatError, ValueError or KeyError otherwise."""
        arrow = from_delta(schema_string)
        rest = {
            name: one
            for name, one in configuration.items()
            if not name.startswith(_CONSTRAINT) and name not in (_KEY, _MIGRATIONS)
        }
        checks = {
            name.removeprefix(_CONSTRAINT): one for name, one in configuration.items() if name.startswith(_CONSTRAINT)
        }
        key = texts(json.loads(configuration.get(_KEY, "[]")))
        if missing := set(key) - set(arrow.names):
            raise FormatError(
                f"the key of a table names {min(missing)!r}, which is none of its columns", kind="table-schema"
            )
        migrations = tuple(mapped(one) for one in listed(json.loads(configuration.get(_MIGRATIONS, "[]"))))
        return cls(arrow, key, checks, migrations, rest)

    def to_plain(self) -> dict[str, Any]:
        """Return it as people read it, JSON-able."""
        columns = [
            {
                "name": one.name,
                "type": shown_type(one),
                "null": one.nullable,
                **({"description": said} if (said := _note(one, "comment")) else {}),
            }
            for one in self.arrow
        ]
        return {
            "columns": columns,
            "key": list(self.key),
            "checks": dict(self.checks),
            "migrations": [dict(one) for one in self.migrations],
        }

    # -- migrations: each returns the new schema; what becomes of rows is said in ``migrations``

    def with_column(self, name: str, column: Column | object) -> TableSchema:
        """Return the schema with one more column."""
        if name in self.arrow.names:
            raise _bad(f"column {name!r} is there already")
        added = declared({name: column})
        return _checked(
            replace(self, arrow=pa.schema([*self.arrow, *added.arrow]), checks={**self.checks, **added.checks})
        )

    def without_column(self, name: str) -> TableSchema:
        """Return the schema without a column; InvalidInputError if the key or a check needs it."""
        self.field(name)
        if name in self.key:
            raise _bad(f"column {name!r} is part of the key", "make another key first")
        if len(self.arrow) == 1:
            raise _bad(f"column {name!r} is the only one")
        for check, one in self.conditions.items():
            if name in one.columns:
                raise _bad(f"check {check!r} needs column {name!r}", "drop the check first")
        return replace(self, arrow=pa.schema([one for one in self.arrow if one.name != name]))

    def renamed(self, old: str, new: str) -> TableSchema:
        """Return the schema with a column under another name; the key follows, checks that name it must be dropped."""
        kept = self.field(old)
        if new in self.arrow.names:
            raise _bad(f"column {new!r} is there already")
        for check, one in self.conditions.items():
            if old in one.columns:
                raise _bad(f"check {check!r} names column {old!r}", "drop the check first, and add it again after")
        arrow = pa.schema([kept.with_name(new) if one.name == old else one for one in self.arrow])
        return _checked(replace(self, arrow=arrow, key=tuple(new if one == old else one for one in self.key)))

    def widened(self, name: str, type: object) -> TableSchema:
        """Return the schema with a type for a column that holds all its values."""
        old = self.field(name)
        kind, json_text = parse_type(type)
        if not json_text and not _is_wider(kind, old.type):
            raise _bad(
                f"column {name!r} can't be widened from {shown_type(old)} to {type}",
                "to a wider integer, float or decimal, from integers to double, or from anything plain to string",
            )
        if json_text and not is_json(old):
            raise _bad(f"column {name!r} can't be widened to json", "add a json column, and fill it")
        arrow = pa.schema([one.with_type(kind) if one.name == name else one for one in self.arrow])
        return _checked(replace(self, arrow=arrow))

    def with_null(self, name: str, *, null: bool) -> TableSchema:
        """Return the schema with a column that may, or may not, miss values."""
        one = self.field(name)
        if null and name in self.key:
            raise _bad(f"column {name!r} is part of the key and can't miss values")
        return replace(self, arrow=self.arrow.set(self.arrow.get_field_index(name), one.with_nullable(null)))

    def with_check(self, name: str, text: str) -> TableSchema:
        """Return the schema with one more check."""
        if name in self.checks:
            raise _bad(f"check {name!r} is there already", "drop it first")
        _refuse_secrets({name: text})
        return _checked(replace(self, checks={**self.checks, name: text}))

    def without_check(self, name: str) -> TableSchema:
        """Return the schema without a check."""
        if name not in self.checks:
            raise _bad(f"there is no check {name!r}", nearest(name, self.checks))
        return replace(self, checks={key: one for key, one in self.checks.items() if key != name})

    def field(self, name: str) -> pa.Field:
        """Return a column; InvalidInputError that names the nearest if there is none."""
        if name not in self.arrow.names:
            raise _bad(f"there is no column {name!r}", nearest(name, self.arrow.names))
        return self.arrow.field(name)

    def after(self, change: str, *, version: int, at: str, author: str | None, reason: str) -> TableSchema:
        """Return the schema with a note of the migration that led to it."""
        note = {"version": version, "at": at, "author": author, "reason": reason, "change": change}
        return replace(self, migrations=(*self.migrations, note))


def declared(
    columns: Mapping[str, object] | pa.Schema,
    key: str | Iterable[str] | None = None,
    checks: Mapping[str, str] | None = None,
) -> TableSchema:
    """Return the schema that a user declares.

    Args:
        columns: Name -> type, :class:`Column`, or a dict of the fields of one; or an Arrow schema.
        key: The column, or columns, whose values are unique.
        checks: Name -> condition.

    Raises:
        InvalidInputError: kind ``bad-schema``, ``bad-type`` or ``bad-condition``.
    """
    if isinstance(columns, pa.Schema):
        columns = {one.name: Column(type=one.type, null=one.nullable) for one in columns}
    if not isinstance(columns, Mapping) or not columns:
        raise _bad("a table needs columns", "such as {'id': 'int64', 'score': 'double'}")
    key = (key,) if isinstance(key, str) else tuple(key or ())
    fields, found = [], dict(checks or {})
    for name, said in columns.items():
        column = _column(name, said)
        kind, json_text = parse_type(column.type)
        notes = ({JSON_NOTE: "true"} if json_text else {}) | (
            {"comment": scrub(text(column.description))} if column.description else {}
        )
        fields.append(pa.field(name, kind, column.null and name not in key, notes or None))
        for check, one in _ranges(name, column).items():
            if check in found:
                raise _bad(f"check {check!r} is declared twice")
            found[check] = one
    _refuse_secrets(found)
    return _checked(TableSchema(pa.schema(fields), key, found))


def _column(name: object, said: object) -> Column:
    if not isinstance(name, str) or not name.strip() or len(name.encode()) > _LONGEST_NAME or "\0" in name:
        raise _bad(f"{name!r} can't be the name of a column")
    if any(sign in name for sign in " ,;{}()\n\t="):
        raise _bad(f"column {name!r} holds a space or one of ,;{{}}()=, which Parquet columns of Delta tables can't")
    if not isinstance(said, Mapping):
        return said if isinstance(said, Column) else Column(type=said)
    known = tuple(Column.__dataclass_fields__)
    for one in said:
        if one not in known:
            raise _bad(f"column {name!r} has no {one!r}", nearest(str(one), known))
    if not isinstance(said.get("null", True), bool):
        raise _bad(f"null of column {name!r} is {said['null']!r:.60}, expected True or False")
    return Column(**said)


def _ranges(name: str, column: Column) -> dict[str, str]:
    """Return the checks that the range and the values of a column are."""
    here = column_text(name)
    try:
        bounds = [f"{here} >= {value_text(column.min)}"] if column.min is not None else []
        bounds += [f"{here} <= {value_text(column.max)}"] if column.max is not None else []
        listed_values = None if column.values is None else [value_text(one) for one in column.values]
    except ValueError as exc:
        raise _bad(f"column {name!r}: {exc}") from exc
    with contextlib.suppress(TypeError):  # values that can't be compared fit no type either
        if column.min is not None and column.max is not None and column.min > column.max:
            raise _bad(f"column {name!r} allows no values at all: its min is greater than its max")
    # a constraint of a Delta table must be true: one that is unknown is broken
    either = f"{here} IS NULL OR " if column.null else ""
    found = {f"{name}_range": either + " AND ".join(bounds)} if bounds else {}
    if listed_values is not None:
        if not listed_values:
            raise _bad(f"column {name!r} allows no values at all")
        found[f"{name}_values"] = f"{either}{here} IN ({', '.join(listed_values)})"
    return found


def _refuse_secrets(checks: Mapping[str, str]) -> None:
    """Refuse conditions that hold a secret: without it they would mean something else, and with it anyone reads it."""
    for name, said in checks.items():
        if isinstance(said, str) and scrub(said) != said:
            raise _bad(
                f"check {name!r} seems to hold a secret, which everyone who reads the lake would see",
                "check the rows before they are appended, or compare a column with the digest of the secret",
            )


def _checked(schema: TableSchema) -> TableSchema:
    """Return a schema that makes sense, or say why it doesn't."""
    names = schema.arrow.names
    lowered: dict[str, str] = {}
    for name in names:
        if lowered.setdefault(name.lower(), name) != name or names.count(name) > 1:
            raise _bad(f"columns {lowered[name.lower()]!r} and {name!r} differ in case alone")
    for name in schema.key:
        kind = schema.field(name).type
        if pa.types.is_floating(kind) or pa.types.is_nested(kind) or is_json(schema.field(name)):
            raise _bad(f"column {name!r} of type {shown_type(schema.field(name))} can't be part of a key")
    if len(set(schema.key)) != len(schema.key):
        raise _bad("the key names a column twice")
    for check in schema.checks:
        if not check.replace("_", "a").replace("-", "a").isalnum():
            raise _bad(f"{check!r} can't be the name of a check", "letters, digits, _ and -")
    _ = schema.conditions  # raises for a check that can't be read
    return schema


def _is_wider(new: pa.DataType, old: pa.DataType) -> bool:
    if pa.types.is_integer(old) and pa.types.is_integer(new):
        return bool(new.bit_width > old.bit_width)
    if pa.types.is_floating(old) and pa.types.is_floating(new):
        return bool(new.bit_width > old.bit_width)
    if pa.types.is_integer(old) and pa.types.is_floating(new):
        return bool(old.bit_width <= (32 if new.bit_width == 64 else 16))
    if pa.types.is_decimal(new) and pa.types.is_integer(old):
        return bool(new.precision - new.scale >= {8: 3, 16: 5, 32: 10, 64: 19}[old.bit_width])
    if pa.types.is_decimal(new) and pa.types.is_decimal(old):
        whole = new.precision - new.scale >= old.precision - old.scale
        return bool(new.scale >= old.scale and whole and new != old)
    if pa.types.is_date(old):
        return bool(pa.types.is_timestamp(new) or pa.types.is_string(new))
    return bool(pa.types.is_string(new) and (pa.types.is_integer(old) or pa.types.is_boolean(old)))


def _note(one: pa.Field, key: str) -> str | None:
    found = (one.metadata or {}).get(key.encode())
    return None if found is None else found.decode(errors="replace")


def _bad(problem: str, hint: str | None = None) -> InvalidInputError:
    return InvalidInputError(problem, kind="bad-schema", hint=hint)
