"""The metadata of a folio as a dict that commits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from lakefolio.errors import NotFoundError, UnsupportedTypeError, nearest
from lakefolio.format import json_decode
from lakefolio.model.changes import Annotate
from lakefolio.model.item_versions import OWN_FACTS
from lakefolio.session.annotations import metadata_texts, refuse_own_facts

if TYPE_CHECKING:
    from lakefolio.folio.open_folio import OpenFolio

__all__ = ["FolioMetadata"]

_PLAIN = (str, int, float, type(None))
_TIMES = ("created_at", "updated_at")


class FolioMetadata(dict[str, Any]):
    """A dict of JSON values; every change of it is one commit (or joins the open batch).

    It holds the folio's metadata as of the last access to ``folio.metadata``, and every change made through it. A
    list or dict in it is a copy: set its key to the whole new value.
    ``created_at`` and ``updated_at`` are always there: the times of the folio's first and last commit, unless the user
    has set values for them.
    """

    def __init__(self, folio: OpenFolio) -> None:
        super().__init__()
        self._folio = folio
        self._opened_at = datetime.now(UTC)
        self._seen: Mapping[str, str] = {}
        self._changeable: set[str] = set()  # of these each access gives another copy

    def look(self) -> FolioMetadata:
        """Load the present metadata and return this."""
        facts = self._folio.reading.facts_now("folio", self._folio.name)
        if facts is not self._seen:
            self._seen = facts
            self._changeable.clear()
            super().clear()
            super().update(dict.fromkeys(_TIMES))
            self._take({key: text for key, text in facts.items() if not key.startswith(OWN_FACTS)})
        else:
            self._take({key: facts[key] for key in self._changeable})
        times = zip(_TIMES, self._times(), strict=True)
        super().update({name: time for name, time in times if name not in facts})
        return self

    def _take(self, texts: Mapping[str, str | None]) -> None:
        """Set the values of JSON texts; None removes a key."""
        for key, text in texts.items():
            self._changeable.discard(key)
            if text is None:
                super().pop(key, None)
                continue
            value = json_decode.loads_fact(text)
            super().__setitem__(key, value)
            if not isinstance(value, _PLAIN):
                self._changeable.add(key)

    def _times(self) -> tuple[str, ...]:
        """Return when the folio was first and last changed, as far as it is known without asking the store."""
        reader = self._folio.reading
        state = reader.journal.state if reader.pinned is None else reader.committed()
        span = state.change_span(self._folio.name)
        times = (None, None) if span is None else [state.time_of(version) for version in span]
        return tuple((found or self._opened_at).isoformat() for found in times)

    def _commit(self, values: Mapping[str, object], remove: Iterable[str], clear: bool) -> None:
        texts: dict[str, str | None] = dict(metadata_texts(values))
        texts |= dict.fromkeys(remove)
        refuse_own_facts(texts)
        before = self._folio.reading.pending_facts(self._folio.name)
        if texts or clear:
            self._folio.apply(Annotate("folio", self._folio.name, texts, clear=clear))
        else:
            self._folio.check_writable()
        if before is None or before is not self._seen or clear or not texts.keys().isdisjoint(_TIMES):
            self.look()
            return
        after = self._folio.reading.pending_facts(self._folio.name) or {}
        expected = {**before, **texts}
        for key in [key for key, text in texts.items() if text is None]:
            del expected[key]
        if after != expected:  # another writer's commit came in
            self.look()
            return
        self._seen = after
        self._take(texts)

    def __setitem__(self, key: str, value: object) -> None:
        self._commit({key: value}, (), False)

    def __delitem__(self, key: str) -> None:
        known = key in self
        self._commit({}, (key,) if known else (), False)
        if not known:
            raise self._lacking(key)

    def __missing__(self, key: str) -> NoReturn:
        raise self._lacking(key)

    def _lacking(self, key: object) -> NotFoundError:
        return NotFoundError(
            f"folio {self._folio.name!r} has no metadata {key!r:.80}",
            kind="metadata-not-found",
            hint=nearest(str(key), self),
        )

    def update(self, *args: object, **kwargs: object) -> None:
        """Set several keys in one commit."""
        try:
            values = dict(*args, **kwargs)
        except (TypeError, ValueError) as exc:
            raise UnsupportedTypeError(
                f"metadata of folio {self._folio.name!r} can't be set: {exc}",
                kind="bad-argument",
                hint="update takes a dict, or key=value",
            ) from exc
        self._commit(values, (), False)

    def __ior__(self, other: object) -> FolioMetadata:  # type: ignore[override,misc]
        self.update(other)
        return self

    def clear(self) -> None:
        """Remove all keys in one commit."""
        self._commit({}, (), True)

    def pop(self, key: str, *default: object) -> Any:
        """Remove a key, in one commit, and return its value."""
        if not isinstance(key, str) or key not in self:
            if default:
                return default[0]
            raise self._lacking(key)
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, object]:
        """Remove the last key that is not a time, in one commit, and return it with its value."""
        for key in reversed(self):
            if key not in _TIMES:
                return key, self.pop(key)
        raise NotFoundError(f"folio {self._folio.name!r} has no metadata", kind="metadata-not-found")

    def setdefault(self, key: str, default: object = None) -> Any:
        """Return the value of a key, setting it, in one commit, if it is missing."""
        if not isinstance(key, str) or key not in self:
            self[key] = default
        return self[key]

    def copy(self) -> dict[str, Any]:
        """Return a plain dict."""
        return dict(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)
