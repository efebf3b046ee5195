"""The parts of a compiled function and the names it mentions, inner functions included (pure)."""

from __future__ import annotations

import dis
import importlib.util
from collections.abc import Iterator
from contextlib import suppress
from types import CodeType
from typing import Any, Final

__all__ = ["code_globals", "code_imports", "code_names", "code_parts", "code_texts"]


_LOOKUPS: Final = frozenset({"getattr", "globals", "attrgetter", "methodcaller", "vars", "__dict__"})


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def code_parts(code: CodeType) -> Iterator[bytes]:
    """Give all parts of a code object that decide its behaviour; line numbers are not among them."""
    for one in _codes(code):
        yield one.co_code
        yield one.co_exceptiontable
        counts = (one.co_argcount, one.co_posonlyargcount, one.co_kwonlyargcount, one.co_flags)
        yield repr((one.co_names, one.co_varnames, one.co_freevars, one.co_cellvars, counts)).encode()
        for constant in one.co_consts:
            if not isinstance(constant, CodeType):
                yield _constant(constant).encode(errors="backslashreplace")


def _constant(value: object) -> str:
    if isinstance(value, frozenset):
        return f"{{{','.join(sorted(map(_constant, value)))}}}"
    if isinstance(value, tuple):
        return f"({','.join(map(_constant, value))})"
    return f"{type(value).__name__} {value!r}"


def code_texts(code: CodeType) -> Iterator[str]:
    """Give its constant texts."""
    for one in _codes(code):
        for constant in one.co_consts:
            for text in constant if isinstance(constant, tuple | frozenset) else (constant,):
                if isinstance(text, str):
                    yield text


def code_names(code: CodeType) -> Iterator[str]:
    """Give the names of globals and attributes it mentions, and texts that it may look up as such."""
    found = [name for one in _codes(code) for name in one.co_names]
    yield from found
    if _LOOKUPS & {*found}:
        yield from (text for text in code_texts(code) if text.isidentifier())


def code_globals(code: CodeType, among: frozenset[str]) -> set[str]:
    """Return which of some names it looks up as globals or builtins; attributes of that name are none."""
    return {
        str(step.argval)
        for one in _codes(code)
        if not among.isdisjoint(one.co_names)
        for step in dis.get_instructions(one)
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and step.argval in among
    }


def code_imports(code: CodeType, package: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give the imports that code makes when it runs: the module's absolute name, and the names taken from it."""
    for one in _codes(code):
        before: list[Any] = [None, None]
        for step in dis.get_instructions(one):
            if step.opname == "IMPORT_NAME":
                level, wanted = before[-2:]
                path = str(step.argval)
                if isinstance(level, int) and level > 0:
                    with suppress(ImportError, ValueError):
                        yield importlib.util.resolve_name("." * level + path, package), tuple(wanted or ())
                else:
                    yield path, tuple(wanted or ())
            before.append(step.argval)
