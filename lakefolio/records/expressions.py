"""Conditions on rows, in the words of SQL: comparisons, AND, OR, NOT, IN, BETWEEN, LIKE, IS NULL, arithmetic (pure).

One small language for filters and for checks. A condition becomes an expression of Arrow, so it is pushed down to the
statistics of files and row groups, and can't reach files, settings or functions that are not below: the text of a check
comes from the bucket. Nulls count as in SQL: a comparison with null is unknown, and a filter keeps what is true. NaN is
equal to nothing, and neither above nor below anything (in DuckDB it is the largest number).

Longer than most modules: a grammar, and what each of its words becomes, stand beside each other.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.errors import InvalidInputError, brief, nearest, one_line

__all__ = ["Condition", "column_text", "computed", "condition", "condition_errors", "value_text"]

_MOST_TEXT: Final = 10_000
_DEEPEST: Final = 100
_LARGEST: Final = decimal.Decimal(10**19)
"""No whole number of a column is as large."""
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?)|(?P<text>'(?:[^']|'')*')"""
    r"""|(?P<name>[^\W\d]\w*|"(?:[^"]|"")+"|`[^`]+`)|(?P<sign><=|>=|<>|!=|==|[-+*/%=<>(),.]))"""
)
_RESERVED: Final = frozenset(
    ["and", "or", "not", "in", "is", "null", "between", "like", "true", "false", "date", "timestamp"]
)
_COMPARED: Final = {
    "=": pc.equal,
    "==": pc.equal,
    "!=": pc.not_equal,
    "<>": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
_FUNCTIONS: Final = {
    "length": pc.utf8_length,
    "lower": pc.utf8_lower,
    "upper": pc.utf8_upper,
    "trim": pc.utf8_trim_whitespace,
    "abs": pc.abs,
    "round": pc.round,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that was read: its text, the expression of Arrow, and the columns that it names."""

    text: str
    expression: pc.Expression
    columns: tuple[str, ...]


@dataclass(slots=True)
class _Value:
    """A part of a condition: an expression, or a literal that takes the type of what it is compared with."""

    expression: Any = None
    literal: Any = None
    is_literal: bool = False
    kind: pa.DataType | None = None

    def as_expression(self, beside: pa.DataType | None = None) -> object:
        if not self.is_literal:
            return self.expression
        return pc.scalar(self._fitted(beside))

    def _fitted(self, beside: pa.DataType | None) -> object:
        value = self.literal
        if beside is None or value is None:
            return pa.scalar(value, beside) if beside is not None else value
        if isinstance(value, str) and pa.types.is_date(beside):
            return pa.scalar(dt.date.fromisoformat(value), beside)
        if pa.types.is_timestamp(beside) and isinstance(value, str | dt.date):
            moment = dt.datetime.fromisoformat(str(value))
            if beside.tz is not None:
                moment = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
            elif moment.tzinfo is not None:
                raise ValueError("the column's times have no zone")
            return pa.scalar(moment, beside)
        if pa.types.is_decimal(beside) and isinstance(value, int | decimal.Decimal):
            return pa.scalar(decimal.Decimal(value))
        if pa.types.is_integer(beside) and isinstance(value, int | decimal.Decimal):
            return _beside_integers(value)
        if isinstance(value, decimal.Decimal) or (_is_float(beside) and type(value) is int):
            return float(decimal.Decimal(value))  # a number beyond all floats is infinite
        if isinstance(value, str) != (pa.types.is_string(beside) or pa.types.is_binary(beside)):
            raise ValueError(f"{one_line(repr(value), 40)} can't be compared with {beside}")
        return value.encode() if pa.types.is_binary(beside) else value


def _beside_integers(value: int | decimal.Decimal) -> object:
    """Return a number to compare whole numbers with, exactly: Arrow would round a fraction, and them, to float32."""
    number = min(max(decimal.Decimal(value), -_LARGEST), _LARGEST)
    whole = int(number.to_integral_value(decimal.ROUND_FLOOR))
    if whole == number and -(2**63) <= whole < 2**63:
        return whole
    half = decimal.Decimal(0 if whole == number else "0.5")
    return pa.scalar(whole + half, pa.decimal128(21, 1))


def _alike(left: _Value, right: _Value) -> tuple[object, object]:
    """Return both sides of a comparison; whole numbers beside floats become such."""
    kinds = [one.kind for one in (left, right)]
    sides = [left.as_expression(right.kind), right.as_expression(left.kind)]
    if None not in kinds and any(map(_is_float, kinds)):
        sides = [_floats(side, kind) for side, kind in zip(sides, kinds, strict=True)]
    return sides[0], sides[1]


def _operands(left: _Value, right: _Value) -> tuple[Any, Any, pa.DataType | None]:
    """Return both sides of arithmetic, and the type of what comes out."""
    fraction = any(one.is_literal and isinstance(one.literal, decimal.Decimal) for one in (left, right))
    kinds = [one.kind for one in (left, right) if one.kind is not None]
    if not any(_is_float(kind) or (fraction and pa.types.is_integer(kind)) for kind in kinds):
        return left.as_expression(right.kind), right.as_expression(left.kind), left.kind or right.kind
    sides = [
        pc.scalar(float(one.literal))
        if one.is_literal and isinstance(one.literal, int | decimal.Decimal)
        else _floats(one.as_expression(pa.float64()), one.kind)
        for one in (left, right)
    ]
    return sides[0], sides[1], pa.float64()


def _floats(side: Any, kind: pa.DataType | None) -> object:
    """Return whole numbers as SQL sees them beside floats: the nearest ones."""
    return side.cast(pa.float64(), safe=False) if kind is not None and pa.types.is_integer(kind) else side


def _is_float(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind))


@contextlib.contextmanager
def condition_errors(text: str | None) -> Iterator[None]:
    """Raise InvalidInputError (kind ``bad-condition``) if a condition can't be computed of rows, as one overflows."""
    try:
        yield
    except pa.ArrowInvalid as exc:
        if text is None:
            raise
        raise InvalidInputError(
            f"condition {one_line(text, 100)!r} can't be computed of the rows: {brief(exc)}",
            kind="bad-condition",
            condition=text,
        ) from exc


def condition(text: object, schema: pa.Schema) -> Condition:
    """Read a condition on rows of a schema.

    Raises:
        InvalidInputError: kind ``bad-condition``: it can't be read, names no column of the schema, or compares what
            can't be compared. The message says where.
    """
    if not isinstance(text, str):
        raise InvalidInputError(
            f'a condition is text such as "score > 0.5", not {type(text).__name__}', kind="bad-condition"
        )
    if len(text) > _MOST_TEXT:
        raise InvalidInputError(f"a condition has at most {_MOST_TEXT} characters", kind="bad-condition")
    parser = _Parser(text, schema)
    try:
        expression = parser.whole()
        # whether the types fit is known to Arrow alone: tried on no rows
        empty = schema.empty_table()
        kind = computed(empty, {"value": expression}).schema.field("value").type
    except (pa.ArrowException, ValueError, TypeError, OverflowError, decimal.InvalidOperation) as exc:
        if isinstance(exc, InvalidInputError):
            raise
        raise parser.bad(brief(exc)) from exc
    if not pa.types.is_boolean(kind):
        raise parser.bad(f"it is a value of type {kind}, not true or false")
    return Condition(text, expression, tuple(dict.fromkeys(parser.columns)))


def computed(rows: pa.Table, columns: Mapping[str, pc.Expression]) -> pa.Table:
    """Return columns that are computed of rows, in this thread alone: a tenth of what a dataset takes for few rows."""
    import pyarrow.acero as acero

    steps = [
        acero.Declaration("table_source", acero.TableSourceNodeOptions(rows)),
        acero.Declaration("project", acero.ProjectNodeOptions(list(columns.values()), list(columns))),
    ]
    return acero.Declaration.from_sequence(steps).to_table(use_threads=False)


def column_text(name: str) -> str:
    """Return a column's name as a condition writes it."""
    if re.fullmatch(r"[A-Za-z_]\w*", name) and name.lower() not in _RESERVED | _FUNCTIONS.keys():
        return name
    return '"' + name.replace('"', '""') + '"'


def value_text(value: object) -> str:
    """Return a value as a condition writes it; ValueError for one that it can't."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | decimal.Decimal) or (isinstance(value, float) and abs(value) < float("inf")):
        return repr(value) if not isinstance(value, decimal.Decimal) else f"{value:f}"
    if isinstance(value, str | dt.datetime | dt.date):
        said = value if isinstance(value, str) else value.isoformat()
        return "'" + said.replace("'", "''") + "'"
    raise ValueError(f"{one_line(repr(value), 60)} can't be compared with")


class _Parser:
    """Reads one condition, from left to right."""

    def __init__(self, text: str, schema: pa.Schema) -> None:
        self.text, self.schema = text, schema
        self.columns: list[str] = []
        self.tokens: list[tuple[str, str, int]] = []
        at = 0
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            if found is None:
                self.here = len(text[:at]) + len(text[at:]) - len(text[at:].lstrip())
                raise self.bad(f"{text[self.here]!r} was not expected", self.here)
            self.tokens.append((str(found.lastgroup), found[str(found.lastgroup)], found.start(str(found.lastgroup))))
            at = found.end()
        self.tokens.append(("end", "", len(text)))
        self.next = 0
        self.depth = 0

    def bad(self, problem: str, at: int | None = None) -> InvalidInputError:
        where = "" if at is None else f" at character {at + 1}"
        return InvalidInputError(
            f"condition {one_line(self.text, 100)!r}{where}: {problem}",
            kind="bad-condition",
            hint="such as: score > 0.5 AND kind IN ('a', 'b') AND note IS NOT NULL",
            condition=self.text,
        )

    def whole(self) -> Any:
        found = self._or().as_expression()
        if self.tokens[self.next][0] != "end":
            raise self._unexpected()
        if not isinstance(found, pc.Expression):
            found = pc.scalar(found)
        return found

    def _unexpected(self) -> InvalidInputError:
        kind, token, at = self.tokens[self.next]
        return self.bad("it ends too early" if kind == "end" else f"{token!r} was not expected", at)

    def _word(self) -> str:
        kind, token, _ = self.tokens[self.next]
        return token.lower() if kind in ("name", "sign") and token[0] not in '"`' else ""

    def _take(self, *words: str) -> str:
        word = self._word()
        if word and word in words:
            self.next += 1
            return word
        return ""

    def _need(self, word: str) -> None:
        if not self._take(word):
            raise self._unexpected()

    def _or(self) -> _Value:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self.bad("it is nested too deep")
        found = self._and()
        while self._take("or"):
            found = _Value(pc.or_kleene(found.as_expression(pa.bool_()), self._and().as_expression(pa.bool_())))
        self.depth -= 1
        return found

    def _and(self) -> _Value:
        found = self._not()
        while self._take("and"):
            found = _Value(pc.and_kleene(found.as_expression(pa.bool_()), self._not().as_expression(pa.bool_())))
        return found

    def _not(self) -> _Value:
        denied = False
        while self._take("not"):
            denied = not denied
        found = self._predicate()
        return _Value(pc.invert(found.as_expression(pa.bool_()))) if denied else found

    def _predicate(self) -> _Value:
        left = self._sum()
        if word := self._take(*_COMPARED):
            right = self._sum()
            return _Value(_COMPARED[word](*_alike(left, right)), kind=pa.bool_())
        if self._take("is"):
            denied = self._take("not")
            self._need("null")
            found = pc.is_null(left.as_expression())
            return _Value(pc.invert(found) if denied else found, kind=pa.bool_())
        denied = self._take("not")
        if self._take("in"):
            found = self._members(left)
        elif self._take("between"):
            low = self._sum()
            self._need("and")
            high = self._sum()
            found = pc.and_kleene(pc.greater_equal(*_alike(left, low)), pc.less_equal(*_alike(left, high)))
        elif self._take("like"):
            found = pc.match_like(left.as_expression(pa.string()), self._text())
        elif denied:
            raise self._unexpected()
        else:
            return left
        return _Value(pc.invert(found) if denied else found, kind=pa.bool_())

    def _members(self, left: _Value) -> object:
        self._need("(")
        found = None
        while True:
            value = self._sum()
            if value.is_literal and value.literal is None:
                raise self.bad("IN (NULL) is never true; write IS NULL")
            one = pc.equal(*_alike(left, value))
            found = one if found is None else pc.or_kleene(found, one)
            if not self._take(","):
                self._need(")")
                return found

    def _text(self) -> str:
        kind, token, _ = self.tokens[self.next]
        if kind != "text":
            raise self._unexpected()
        self.next += 1
        return token[1:-1].replace("''", "'")

    def _sum(self) -> _Value:
        found = self._product()
        while word := self._take("+", "-"):
            right = self._product()
            joined = pc.add_checked if word == "+" else pc.subtract_checked
            left_side, right_side, kind = _operands(found, right)
            found = _Value(joined(left_side, right_side), kind=kind)
        return found

    def _product(self) -> _Value:
        found = self._factor()
        while word := self._take("*", "/", "%"):
            at = self.tokens[self.next - 1][2]
            right = self._factor()
            left_side, right_side, kind = _operands(found, right)
            if word == "*":
                found = _Value(pc.multiply_checked(left_side, right_side), kind=kind)
            elif word == "/":  # as DuckDB says it: no remainder is lost, and infinite by nothing
                left_side, right_side = (side.cast(pa.float64(), safe=False) for side in (left_side, right_side))
                found = _Value(pc.divide(left_side, right_side), kind=pa.float64())
            elif kind is None or not pa.types.is_integer(kind):
                raise self.bad("% takes whole numbers", at)
            else:  # with the sign of the left side, and null for nothing to divide by
                divisor = pc.if_else(pc.equal(right_side, 0), pc.scalar(None).cast(kind), right_side)
                made = pc.subtract(left_side, pc.multiply(pc.divide(left_side, divisor), divisor))
                found = _Value(made, kind=kind)
        return found

    def _factor(self) -> _Value:
        kind, token, at = self.tokens[self.next]
        if self._take("-"):
            found = self._factor()
            if found.is_literal and isinstance(found.literal, int | decimal.Decimal):
                return _Value(literal=-found.literal, is_literal=True)
            return _Value(pc.negate_checked(found.as_expression()), kind=found.kind)
        if self._take("("):
            found = self._or()
            self._need(")")
            return found
        self.next += 1
        if kind == "number":
            number: Any = int(token) if token.isdigit() else decimal.Decimal(token)
            return _Value(literal=number, is_literal=True)
        if kind == "text":
            return _Value(literal=token[1:-1].replace("''", "'"), is_literal=True)
        if kind == "name":
            word = token.lower()
            if word in ("true", "false", "null"):
                return _Value(literal={"true": True, "false": False, "null": None}[word], is_literal=True)
            if word in ("date", "timestamp") and self.tokens[self.next][0] == "text":
                read: Any = dt.date if word == "date" else dt.datetime
                return _Value(literal=str(read.fromisoformat(self._text())), is_literal=True)
            if self.tokens[self.next][1] == "(" and token[0] not in '"`':
                return self._call(word, at)
            if word not in _RESERVED or token[0] in '"`':
                return self._column(token, at)
        self.next -= 1
        raise self._unexpected()

    def _call(self, word: str, at: int) -> _Value:
        if word not in _FUNCTIONS:
            raise self.bad(f"there is no function {word!r}; there are {', '.join(_FUNCTIONS)}", at)
        self._need("(")
        value = self._sum()
        self._need(")")
        if word in ("abs", "round"):
            if word == "round" and value.kind is not None and pa.types.is_integer(value.kind):
                return value
            return _Value(_FUNCTIONS[word](value.as_expression()), kind=value.kind)
        kind = pa.int32() if word == "length" else pa.string()
        return _Value(_FUNCTIONS[word](value.as_expression(pa.string())), kind=kind)

    def _column(self, token: str, at: int) -> _Value:
        path = [_unquoted(token)]
        while self._take("."):
            kind, part, at = self.tokens[self.next]
            if kind != "name":
                raise self._unexpected()
            self.next += 1
            path.append(_unquoted(part))
        names = self.schema.names
        if path[0] not in names:
            alike = [name for name in names if name.lower() == path[0].lower()]
            if len(alike) != 1 or token[0] in '"`':
                error = self.bad(f"there is no column {path[0]!r}", at)
                error.hint = nearest(path[0], names)
                raise error
            path[0] = alike[0]
        kind = self.schema.field(path[0]).type
        for part in path[1:]:
            if not pa.types.is_struct(kind) or kind.get_field_index(part) < 0:
                raise self.bad(f"{'.'.join(path)} is no field", at)
            kind = kind.field(part).type
        self.columns.append(path[0])
        return _Value(pc.field(*path) if len(path) == 1 else pc.field(tuple(path)), kind=kind)


def _unquoted(token: str) -> str:
    if token[0] == '"':
        return token[1:-1].replace('""', '"')
    return token[1:-1] if token[0] == "`" else token
