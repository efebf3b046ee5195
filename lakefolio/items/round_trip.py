"""Say whether an object that was decoded is the object that was encoded, and if not, which part differs.

Two objects are alike if pickle or ``copy.deepcopy`` could not tell them apart: equal types, values and state, and the
same parts shared. NaN equals NaN; 0.0 and -0.0 differ. Two arrays that are views of one memory count as separate
arrays, and a ``numpy.memmap`` counts as the array that it maps.
"""

from __future__ import annotations

import collections
import copyreg
import functools
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

__all__ = ["Apart", "Part", "first_difference", "how_to_rebuild", "parts_of", "take_apart", "walk"]

_BY_VALUE: Final = (type(None), bool, int, str, bytes, bytearray)
_BY_REPR: Final = (float, complex)
_BY_IDENTITY: Final = (
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ModuleType,
    np.ufunc,
    type(np.mean),
)
Apart = tuple[Any, list[tuple[str, Any]]]
"""The value of an object apart from its parts, and its parts with their labels."""


@dataclass(frozen=True, slots=True)
class Part:
    """An object inside another one, and the path that leads to it: ``.steps[0][1].memory_``."""

    path: str
    value: Any


def first_difference(
    before: object, after: object, *, apart: Callable[[Any], Apart] | None = None, sharing: bool = True
) -> tuple[Part, str] | None:
    """Compare an object with its decoded copy.

    Args:
        before: The object.
        after: Its copy.
        apart: Used instead of :func:`take_apart`.
        sharing: Whether the same parts must be shared.

    Returns:
        The first part of ``before`` that differs and in which way, or None if everything is alike.
    """
    taking = apart or take_apart
    twins: dict[int, int] = {}
    owners: dict[int, int] = {}
    seen: set[tuple[int, int]] = set()
    alive: list[Any] = []  # an id means nothing once its object is gone
    waiting: list[tuple[str, Any, Any]] = [("", before, after)]
    while waiting:
        path, one, other = waiting.pop()
        if _plain(type(one)) is not _plain(type(other)):
            return Part(path, one), f"comes back as a {type(other).__qualname__}"
        if type(one) in _BY_VALUE:
            if one != other:
                return Part(path, one), "comes back changed"
            continue
        alive += (one, other)
        if not sharing and (id(one), id(other)) in seen:
            continue
        seen.add((id(one), id(other)))
        if sharing and _is_mutable(one):
            twin, owner = twins.get(id(one)), owners.get(id(other))
            if twin is None and owner is None:
                twins[id(one)], owners[id(other)] = id(other), id(one)
            elif twin == id(other) and owner == id(one):
                continue
            else:
                return Part(path, one), "shares an object with another part, which does not come back"
        try:
            (fact, parts), (fact_after, parts_after) = taking(one), taking(other)
            same = bool(fact == fact_after) and [label for label, _ in parts] == [label for label, _ in parts_after]
        except Exception as exc:  # methods of other people's classes may raise anything
            if one is other:
                continue
            return Part(path, one), f"can't be compared with its stored copy: {exc}"
        if not same:
            return Part(path, one), "comes back changed"
        inside = [(path + label, child, twin) for (label, child), (_, twin) in zip(parts, parts_after, strict=True)]
        waiting += reversed(inside)
    return None


def walk(obj: object) -> Iterator[Part]:
    """Yield every part of ``obj`` once, ``obj`` itself first."""
    seen: set[int] = set()
    alive: list[Any] = []
    waiting = [Part("", obj)]
    while waiting:
        part = waiting.pop()
        if id(part.value) in seen:
            continue
        seen.add(id(part.value))
        alive.append(part.value)
        yield part
        waiting += reversed(parts_of(part))


def parts_of(part: Part) -> list[Part]:
    """Return the parts directly inside of a part; none of an object that can't be taken apart."""
    try:
        return [Part(part.path + label, child) for label, child in take_apart(part.value)[1]]
    except Exception:  # as above
        return []


def how_to_rebuild(obj: object) -> tuple[Any, ...] | None:
    """Return the function, arguments and state with which pickle rebuilds ``obj``; None if it looks up a name."""
    how: Callable[[Any], Any] | None = copyreg.dispatch_table.get(type(obj))
    found = how(obj) if how is not None else obj.__reduce_ex__(4)
    return None if isinstance(found, str) else found


def _plain(kind: type) -> type:
    return np.ndarray if kind is np.memmap else kind


def _is_mutable(obj: object) -> bool:
    if isinstance(obj, (list, dict, set, collections.deque, np.ndarray)):
        return True
    return isinstance(getattr(obj, "__dict__", None), dict) and not isinstance(obj, _BY_IDENTITY)


class _Memory:
    """The values of an array, compared bit by bit."""

    __slots__ = ("array",)

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.array = array

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Memory) and _same_memory(self.array, other.array)

    __hash__ = None  # type: ignore[assignment]


def _same_memory(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    if _dtype(one.dtype) != _dtype(other.dtype) or one.shape != other.shape or _is_fortran(one) != _is_fortran(other):
        return False
    if one.dtype.names is not None:  # without the bytes between the fields
        return all(_same_memory(one[name], other[name]) for name in one.dtype.names)
    if not one.size or not one.dtype.itemsize:
        return True
    return np.array_equal(_bytes(one), _bytes(other))


def _dtype(dtype: np.dtype[Any]) -> tuple[Any, ...]:
    """Return what makes a dtype, since dtypes are equal whatever their alignment, record type and metadata are."""
    inside = [dtype.subdtype[0]] if dtype.subdtype is not None else [one[0] for one in (dtype.fields or {}).values()]
    told = None if dtype.metadata is None else dict(dtype.metadata)
    return (dtype, dtype.isalignedstruct, dtype.type is np.record, told, *map(_dtype, inside))


def _bytes(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(array.T).reshape(-1).view(np.uint8)


def _is_fortran(array: np.ndarray[Any, Any]) -> bool:
    return array.flags.f_contiguous and not array.flags.c_contiguous


def take_apart(obj: object) -> Apart:
    """Return the value of an object apart from its parts, to be compared, and its parts with their labels."""
    if isinstance(obj, _BY_IDENTITY):
        return id(obj), []
    if type(obj) in _BY_VALUE:
        return obj, []
    if isinstance(obj, np.dtype):
        return _dtype(obj), []
    if type(obj) in _BY_REPR:
        return repr(obj), []
    if isinstance(obj, types.MethodType):
        return id(obj.__func__), [(".__self__", obj.__self__)]
    if isinstance(obj, functools.partial):
        inside = {"func": obj.func, "args": obj.args, "keywords": obj.keywords, **obj.__dict__}
        return None, [(f".{name}", value) for name, value in inside.items()]
    if isinstance(obj, np.inexact):  # as Python's own floats: their digits, the sign of zero, one NaN
        return (obj.dtype, repr(obj)), []
    if isinstance(obj, np.generic):
        return _Memory(np.asarray(obj)), []
    if isinstance(obj, (np.random.RandomState, np.random.Generator, np.random.BitGenerator)):
        return None, [(".state", _random_state(obj))]
    if hasattr(obj, "tocoo") and hasattr(obj, "format"):
        return _sparse(obj)
    fact, parts = _container(obj)
    if parts is None:
        return _instance(obj)
    attributes = getattr(obj, "__dict__", None)
    if type(attributes) is dict and not isinstance(obj, (np.memmap, np.ma.MaskedArray, np.recarray)):
        parts += [(f".{name}", value) for name, value in attributes.items()]
    return fact, parts


def _container(obj: object) -> tuple[Any, list[tuple[str, Any]] | None]:
    if isinstance(obj, np.ndarray):
        return _array(obj)
    if isinstance(obj, dict):
        parts = [pair for key, value in obj.items() for pair in ((_key(key), key), (_at(key), value))]
        if isinstance(obj, collections.defaultdict):
            parts.append((".default_factory", obj.default_factory))
        return len(obj), parts
    if isinstance(obj, (set, frozenset)):
        ordered = sorted(obj, key=lambda one: (type(one).__qualname__, repr(one)))
        return len(obj), [(f"{{{place}}}", one) for place, one in enumerate(ordered)]
    if isinstance(obj, (list, tuple, collections.deque)):
        return getattr(obj, "maxlen", None), [(f"[{place}]", one) for place, one in enumerate(obj)]
    return None, None


def _key(key: object) -> str:
    return f" (the key {_short(key)})"


def _at(key: object) -> str:
    return f"[{_short(key)}]"


def _short(key: object) -> str:
    try:
        return repr(key)[:60]
    except Exception:  # Python refuses to write integers of more than 4,300 digits
        return f"a {type(key).__qualname__}"


def _array(array: np.ndarray[Any, Any]) -> Apart:
    if isinstance(array, np.ma.MaskedArray):
        fact = (_Memory(np.asarray(array.fill_value)), bool(array.hardmask))
        return fact, [(".data", np.asarray(array.data)), (".mask", np.asarray(array.mask))]
    plain = np.asarray(array)
    if plain.dtype == object:
        items = plain.reshape(-1).tolist()
        return (plain.dtype, plain.shape), [(f"[{place}]", one) for place, one in enumerate(items)]
    return _Memory(plain), []


def _random_state(obj: Any) -> object:
    if isinstance(obj, np.random.RandomState):
        return obj.get_state(legacy=False)
    bits = obj.bit_generator if isinstance(obj, np.random.Generator) else obj
    return [bits.state, getattr(bits.seed_seq, "state", None)]


def _sparse(matrix: Any) -> Apart:
    fact = (matrix.format, matrix.shape, matrix.dtype)
    if matrix.format in ("csr", "csc", "bsr"):
        index = {name: getattr(matrix, name) for name in ("indptr", "indices")}
    elif matrix.format == "dia":
        index = {"offsets": matrix.offsets}
    else:
        matrix = matrix.tocoo()
        index = {"coords": matrix.coords}
    # the width of the indices follows from the size of the matrix
    return fact, [*((f".{name}", np.asarray(one, np.int64)) for name, one in index.items()), (".data", matrix.data)]


def _instance(obj: object) -> Apart:
    how = how_to_rebuild(obj)
    if how is None:
        return id(obj), []
    make, arguments, state, items, pairs = (*how, *(None,) * 5)[:5]
    parts: list[tuple[str, Any]] = [(f" (argument {place})", one) for place, one in enumerate(arguments)]
    attributes: dict[Any, Any] = {}
    if type(state) is dict:
        attributes = state
    elif isinstance(state, tuple) and len(state) == 2 and all(one is None or type(one) is dict for one in state):
        attributes = {**(state[0] or {}), **(state[1] or {})}  # attributes, and those in __slots__
    elif state is not None:
        parts.append((" (its state)", state))
    parts += [(f".{name}", value) for name, value in sorted(attributes.items(), key=lambda pair: str(pair[0]))]
    parts += [(f"[{place}]", one) for place, one in enumerate(items or ())]
    for key, value in pairs or ():
        parts += [(_key(key), key), (_at(key), value)]
    return make if isinstance(make, type) else getattr(make, "__qualname__", id(make)), parts
