"""View files that people drop beside the library's own: into a folder of theirs, or into ``views/`` of a lake.

Here they are only found: names, headers and sizes are looked at, their SQL is not. It is judged and run in a process of
its own (``sandbox``) when a question reads the view.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lakefolio.config.settings import setting
from lakefolio.errors import LakefolioError, one_line
from lakefolio.format.layout import VIEWS
from lakefolio.format.schema import SCHEMAS
from lakefolio.views.sandbox import Limits
from lakefolio.views.sql_guard import is_text
from lakefolio.views.view_files import ViewFile, load_views, parse_view

if TYPE_CHECKING:
    from lakefolio.storage import Store
    from lakefolio.views.engine import Views

__all__ = ["OwnViews", "own_views"]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_SIZE_LIMIT: Final = 64 * 1024
_COUNT_LIMIT: Final = 200


@dataclass(frozen=True, slots=True)
class OwnViews:
    """The view files of a user and of a lake.

    Attributes:
        views: Those that can be tried; the user's first. Whether one is an allowed SELECT turns out when it is asked.
        problems: The files that can't be used, each with the reason.
    """

    views: tuple[ViewFile, ...]
    problems: tuple[str, ...]

    @property
    def ask_for_content(self) -> bool:
        """Whether one of them names the inline content of items, which is not always at hand."""
        return any("content" in view.words for view in self.views)

    def all(self) -> Views:
        """Return these views and the library's."""
        return _with(self.views, Limits(setting("view_seconds"), setting("view_memory_mib")))


def own_views(store: Store, folder: Path | None) -> OwnViews:
    """Read the view files of a lake and of a user's folder. One LIST, and a GET for each file of the lake."""
    taken = _taken()
    views: dict[str, ViewFile] = {}
    problems = []
    for place, name, text, origin in (*_of_user(folder), *_of_lake(store)):
        reason = text if origin == "problem" else None
        if reason is None and not _NAME.fullmatch(name):
            reason = "its name is not a word of letters, digits and _"
        if reason is None and (name.lower() in taken or name.lower() in views):
            reason = "its name is that of another view"
        if reason is None and not is_text(text):
            reason = "it holds a character that no SQL can"
        if reason is None:
            views[name.lower()] = parse_view(Path(place), text, origin)
        else:
            problems.append(one_line(f"view file {place} is left out: {reason}", 300))
    return OwnViews(tuple(views.values()), tuple(problems))


def _of_user(folder: Path | None) -> Iterator[tuple[str, str, str, str]]:
    for path in sorted(folder.glob("*.sql")) if folder is not None and folder.is_dir() else ():
        try:
            if not path.is_file():
                yield str(path), path.stem, "it is no regular file", "problem"
            elif (size := path.stat().st_size) > _SIZE_LIMIT:
                yield str(path), path.stem, _too_large(size), "problem"
            else:
                yield str(path), path.stem, path.read_text(encoding="utf-8"), "user"
        except (OSError, UnicodeDecodeError) as exc:
            yield str(path), path.stem, f"it can't be read: {exc}", "problem"


def _of_lake(store: Store) -> Iterator[tuple[str, str, str, str]]:
    found = [one for one in store.list(VIEWS) if one.key.endswith(".sql")]
    for number, one in enumerate(found):
        name = one.key.rpartition("/")[2].removesuffix(".sql")
        reason = None
        if one.key != f"{VIEWS}/{name}.sql":
            reason = "it lies in a folder of its own"
        elif one.size_bytes > _SIZE_LIMIT:
            reason = _too_large(one.size_bytes)
        elif number >= _COUNT_LIMIT:
            reason = f"there are more than {_COUNT_LIMIT}"
        try:
            text = "" if reason else bytes(store.get(one.key)).decode()
        except (LakefolioError, UnicodeDecodeError) as exc:
            reason = f"it can't be read: {exc}"
        yield one.key, name, reason or text, "problem" if reason else "lake"


def _too_large(size_bytes: int) -> str:
    return f"it has {size_bytes:,} bytes, at most {_SIZE_LIMIT:,} are read"


@cache
def _taken() -> frozenset[str]:
    return frozenset(view.name.lower() for view in load_views()) | set(SCHEMAS)


@lru_cache(maxsize=8)
def _with(views: tuple[ViewFile, ...], limits: Limits) -> Views:
    from lakefolio.views.engine import Views, default_views

    return Views(given=views, limits=limits) if views else default_views()
