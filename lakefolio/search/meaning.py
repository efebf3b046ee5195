"""The meaning of texts as vectors: a static embedding that comes with the library, or the user's own encoder.

The vector of a text is the sum of the vectors of its tokens, scaled to length 1; two texts mean alike if the angle
between their vectors is small. The table (``meaning.npz``) was distilled from a sentence encoder by
``tests/bench/distil_meaning.py``, which says from which and how well it does. A token that the table lacks is taken for
the longest pieces of it that the table has. Nothing is downloaded.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from lakefolio.config.settings import setting
from lakefolio.errors import InvalidInputError, one_line
from lakefolio.search.words import tokens

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

__all__ = ["Encoder", "OwnEncoder", "StaticEncoder", "encoder_of_settings", "pieces", "scaled"]

_TABLE: Final = Path(__file__).parent / "meaning.npz"
_SHORTEST: Final = 3
_BATCH: Final = 1_000


class Encoder(Protocol):
    """What gives the vectors of texts."""

    def of_texts(self, texts: Sequence[str]) -> Floats:
        """Return a row of length 1 for each text; zeros for one that it knows nothing of (shape: texts, size)."""
        ...


def scaled(rows: Floats) -> Floats:
    """Return rows scaled to length 1; zeros stay."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    found: Floats = rows / np.maximum(lengths, 1e-9)
    return found


class StaticEncoder:
    """The table that comes with the library. Safe to share between threads."""

    @cached_property
    def _table(self) -> tuple[dict[str, int], npt.NDArray[np.int8], Floats]:
        with np.load(_TABLE, allow_pickle=False) as stored:
            words = stored["words"].tobytes().decode().split("\n")
            return {word: at for at, word in enumerate(words)}, stored["rows"], stored["scales"].astype(np.float32)

    @property
    def size(self) -> int:
        """The length of a vector."""
        return int(self._table[1].shape[1])

    def of_texts(self, texts: Sequence[str]) -> Floats:
        """See Encoder."""
        return scaled(np.stack([self.of_tokens(tokens(text)).sum(axis=0) for text in texts]))

    def of_tokens(self, some: Sequence[str]) -> Floats:
        """Return the vector of each token, not scaled: what the sum of a text is made of (shape: tokens, size)."""
        numbers, rows, scales = self._table
        places: list[int] = []
        owners: list[int] = []
        for at, token in enumerate(some):
            found = [number] if (number := numbers.get(token)) is not None else pieces(token, numbers)
            places += found
            owners += [at] * len(found)
        sums = np.zeros((len(some), rows.shape[1]), np.float32)
        np.add.at(sums, owners, rows[places] * scales[places, None])
        return sums


def pieces(token: str, numbers: dict[str, int]) -> list[int]:
    """Return the longest pieces of a token, from its beginning on, that a table has."""
    found, start = [], 0
    while start <= len(token) - _SHORTEST:
        for end in range(len(token), start + _SHORTEST - 1, -1):
            if (number := numbers.get(token[start:end])) is not None:
                found.append(number)
                start = end
                break
        else:
            start += 1
    return found


class OwnEncoder:
    """A function of the user, ``module:function``: texts -> as many vectors of one size."""

    def __init__(self, name: str, function: Callable[[list[str]], Any]) -> None:
        self._name = name
        self._function = function
        self._known: dict[str, Floats] = {}

    def of_texts(self, texts: Sequence[str]) -> Floats:
        """See Encoder. Each text is given to the function once.

        Raises:
            InvalidInputError: kind ``bad-encoder``: the function fails, or returns something else.
        """
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        for start in range(0, len(new), _BATCH):
            batch = new[start : start + _BATCH]
            self._known |= dict(zip(batch, self._asked(batch), strict=True))
        return np.stack([self._known[text] for text in texts])

    def _asked(self, batch: list[str]) -> Floats:
        try:
            rows = np.asarray(self._function(batch), np.float32)
        except Exception as exc:  # code of the user
            raise self._bad(f"failed: {one_line(str(exc), 200)}") from exc
        size = next((len(row) for row in self._known.values()), None)
        if rows.ndim != 2 or len(rows) != len(batch) or not rows.size or size not in (None, rows.shape[1]):
            raise self._bad(f"returned the shape {rows.shape} for {len(batch)} texts, expected one vector a text")
        if not np.isfinite(rows).all():
            raise self._bad("returned numbers that are not finite")
        return scaled(rows)

    def _bad(self, problem: str) -> InvalidInputError:
        return _bad(self._name, problem)


def _bad(name: str, problem: str) -> InvalidInputError:
    hint = "the setting encoder names a function that takes a list of texts and returns as many vectors"
    return InvalidInputError(f"the encoder {name!r} {problem}", kind="bad-encoder", hint=hint, encoder=name)


@cache
def _static() -> StaticEncoder:
    return StaticEncoder()


@cache
def _own(name: str) -> OwnEncoder:
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except Exception as exc:  # code of the user
        raise _bad(name, f"can't be imported: {one_line(str(exc), 200)}") from exc
    if not callable(found):
        raise _bad(name, "is no function")
    return OwnEncoder(name, found)


def encoder_of_settings() -> Encoder:
    """Return the encoder that the user's settings name, else the library's own.

    Code is run by its user's word alone: a lake has none, and a file found by searching folders must be trusted.

    Raises:
        InvalidInputError: kind ``bad-encoder``, ``bad-config``, ``untrusted-config``.
    """
    name = setting("encoder")
    return _static() if name is None else _own(str(name))
