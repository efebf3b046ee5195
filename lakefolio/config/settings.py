"""What can be configured, and what is: arguments, then the environment, then configuration files, then defaults.

The files are ``lakefolio.toml`` and the table ``[tool.lakefolio]`` of ``pyproject.toml``, searched upwards from the
current folder. The nearer file wins; of two in one folder ``[tool.lakefolio]`` does. A folder that somebody else filled
may hold such a file, so what could direct credentials elsewhere has no effect before the folder is trusted.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from lakefolio.config.files import ConfigFile, config_files
from lakefolio.config.trust import LIMITS, is_trusted, needs_trust
from lakefolio.errors import InvalidInputError, UnsupportedTypeError, nearest
from lakefolio.process.identity import user_name
from lakefolio.process.places import printable, user_folder
from lakefolio.redaction import scrub_value
from lakefolio.terminal import shown_value

__all__ = [
    "KEYS",
    "Setting",
    "blamed",
    "default_author",
    "default_fsync",
    "found",
    "place_of",
    "setting",
]

_DEFAULT: Final = "default"
_YES: Final = ("1", "true", "yes", "on")
_NO: Final = ("0", "false", "no", "off")
_LARGEST: Final = 1_000_000
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/|(s3|gs|az):")
"""How addresses begin, those that are miswritten too: they are refused where they are opened, not taken for folders."""


@dataclass(frozen=True, slots=True)
class _Key:
    kind: Literal["text", "place", "switch", "number", "table"]
    default: Any
    about: str


KEYS: Final[Mapping[str, _Key]] = {
    "lake": _Key("place", "./lake", "where the lake is"),
    "author": _Key("text", None, "who is noted as the author of commits; by default user@host"),
    "default_run_type": _Key("text", "experiment", "the type of runs that are given none"),
    "default_organisation": _Key("text", "by_project", "how runs are listed: by_project, by_date, by_type, …"),
    "deduplication": _Key("switch", True, "whether content that the lake holds is referred to rather than sent again"),
    "fsync": _Key("switch", False, "whether writes to local folders wait for the disk"),
    "combine": _Key("switch", True, "whether processes of one computer that write at once commit through one of them"),
    "capture": _Key("switch", True, "whether captured functions record runs, and runs what they read"),
    "encoder": _Key("text", None, "a function that gives texts their meaning in search, as module:function"),
    "search_log": _Key("switch", False, "whether searches and what was chosen of their hits are recorded in the lake"),
    "views": _Key("place", None, "a folder with view files of one's own; by default ~/.config/lakefolio/views"),
    "view_seconds": _Key(
        "number",
        LIMITS["view_seconds"],
        "how long a view file of one's own or of the lake may run",
    ),
    "view_memory_mib": _Key(
        "number",
        LIMITS["view_memory_mib"],
        "how much memory a view file may use beside the rows it reads, and how large its answer may be",
    ),
    "storage_options": _Key("table", {}, "options of the configured lake's store, as for lakefolio.open"),
}
"""Every key. In the environment a key is called ``LAKEFOLIO_`` and its name in capitals (not ``storage_options``)."""


_PLACES: Final = {
    "tool": "in lakefolio.toml the keys stand at the top, without [tool.lakefolio]",
    "enable_flexible_storage": "leave it out: every lake works so; capture = false switches capturing off",
    "s3_bucket": 'write lake = "s3://bucket/prefix"',
    "default_storage_mode": 'write default_organisation = "by_type"',
    "data_deduplication": "write deduplication = true",
    "trust_references": "the user says what is trusted: LAKEFOLIO_TRUST_REFERENCES, or trust_references= in code",
}
"""Where keys belong that people bring along, those of MLtrack among them."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a key is set to.

    Attributes:
        name: The key.
        value: Its value.
        source: Where it is set: ``argument …``, the environment variable, ``<file>, line <n>``, or ``default``.
        folder: The folder of the file that sets it; "" if no file does.
        trusted: Whether the user trusts that file; True if no file sets it.
        needs_trust: What of it has no effect before its folder is trusted, in words; None if it may be acted upon.
    """

    name: str
    value: Any = field(repr=False)
    source: str
    folder: str = ""
    trusted: bool = True
    needs_trust: str | None = None

    @property
    def shown(self) -> Any:
        """The value without secrets."""
        return scrub_value(self.value)


def setting(name: str, *, start: Path | None = None) -> Any:
    """Return what a key is set to, to be acted upon; see :func:`found`.

    Raises:
        InvalidInputError: As :func:`found`; kind ``untrusted-config``: a file says something that needs trust, and its
            folder has none; names file and line.
    """
    one = found(name, start=start)
    if one.needs_trust is not None:
        raise InvalidInputError(
            f"{one.source} sets {name} ({one.needs_trust}), which could send your credentials elsewhere or run code of "
            "others, and you have not trusted its folder",
            kind="untrusted-config",
            hint=f"look at it, then: lakefolio config trust {shlex.quote(printable(one.folder))}",
            path=one.source,
            key=name,
        )
    return one.value


def found(name: str, argument: object = None, *, said: str = "", start: Path | None = None) -> Setting:
    """Return what a key is set to, and where.

    An argument wins over the environment, that over files, those over the default; an empty variable says
    nothing.
    A relative path in a file is relative to that file, anywhere else to the current folder.

    Args:
        name: One of ``KEYS``.
        argument: What the caller was given, if it was given something.
        said: What the argument is called, for people.
        start: Where to start looking for files; the current folder if None.

    Raises:
        InvalidInputError: kind ``bad-config``: a file or variable that can't be accepted, or a key there is not; names
            file, line and key.
    """
    key = KEYS.get(name)
    if key is None:
        raise InvalidInputError(
            f"there is no setting {name!r}", kind="bad-config", hint=nearest(name, KEYS), path=None, line=None, key=name
        )
    if argument is not None:
        return Setting(name, argument, f"argument {said}".strip())
    variable = f"LAKEFOLIO_{name.upper()}"
    text = "" if key.kind == "table" else os.environ.get(variable, "").strip()
    if text:
        return Setting(name, _of_text(variable, name, key, text), variable)
    for file in config_files(start):
        _check(file)
        if name in file.values:
            trusted, wary = is_trusted(file), needs_trust(name, file.values[name])
            value, place = _of_file(file, name, key), file.place(name)
            return Setting(name, value, place, str(file.path.parent), trusted, None if trusted else wary)
    computed = {"author": _user, "views": _views_folder}.get(name)
    return Setting(name, key.default if computed is None else computed(), _DEFAULT)


def place_of(
    uri: str | Path | None, options: Mapping[str, object] | None = None
) -> tuple[str, Mapping[str, Any] | None]:
    """Return the lake meant by an address that may be missing, and the options of its store.

    Configured options are for the configured lake only: they may be keys, which are nobody else's business.

    Raises:
        InvalidInputError: As :func:`setting`.
        UnsupportedTypeError: The address is neither a text nor a path; its text would name a folder.
    """
    if uri is not None:
        if not isinstance(uri, str | Path):
            raise UnsupportedTypeError(
                f"an address of a lake is a text or a Path, got {shown_value(uri)} of type {type(uri).__name__}",
                kind="bad-argument",
                hint="write lakefolio.open('s3://bucket/prefix') or lakefolio.open('./lake')",
            )
        return str(uri), options
    lake, given = found("lake"), options or setting("storage_options") or None
    if given and not options:
        _check_together(lake, found("storage_options"))
    return str(lake.value), given


def _check_together(lake: Setting, options: Setting) -> None:
    """Refuse to use the options of one folder for a lake that an untrusted folder names: they may be keys.

    Raises:
        InvalidInputError: kind ``untrusted-config``.
    """
    if lake.folder and lake.folder != options.folder and not lake.trusted:
        raise InvalidInputError(
            f"{lake.source} sets lake, {options.source} the options of its store, and you have not trusted its folder",
            kind="untrusted-config",
            hint=f"look at it, then: lakefolio config trust {shlex.quote(printable(lake.folder))}",
            path=lake.source,
            key="lake",
        )


def blamed(name: str, exc: InvalidInputError) -> InvalidInputError:
    """Return the error of a setting that turned out wrong where it was used, with where it was set."""
    source = found(name).source
    if source == _DEFAULT:
        return exc
    return InvalidInputError(f"{source} sets {name}: {exc.message}", kind=exc.kind, hint=exc.hint, **exc.objects)


def default_author(start: Path | None = None) -> str:
    """Return who writes: as configured, else user@host.

    Raises:
        InvalidInputError: As :func:`found`.
    """
    return str(setting("author", start=start))


def default_fsync() -> bool:
    """Say whether writes to local folders wait for the disk (FORMAT.md, "Power cuts").

    Raises:
        InvalidInputError: As :func:`found`.
    """
    return bool(setting("fsync"))


def _user() -> str:
    return f"{user_name()}@{socket.gethostname()}"


def _views_folder() -> str | None:
    folder = user_folder("XDG_CONFIG_HOME", ".config")
    return None if folder is None else str(folder / "lakefolio" / "views")


# -- reading values ----------------------------------------------------------------------------------------


def _of_text(variable: str, name: str, key: _Key, text: str) -> Any:
    if key.kind == "number":
        number = _number(text)
        if not 0 < number < _LARGEST:
            raise _bad_variable(variable, name, text, "a number above 0", key.default)
        return number
    if key.kind != "switch":
        return os.path.expanduser(text) if name == "views" else text
    if text.lower() not in (*_YES, *_NO):
        raise _bad_variable(variable, name, text, "true or false", "true")
    return text.lower() in _YES


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0


def _bad_variable(variable: str, name: str, text: str, expected: str, example: object) -> InvalidInputError:
    return InvalidInputError(
        f"environment variable {variable} is {text!r}, expected {expected}",
        kind="bad-config",
        hint=f"write {variable}={example}, or unset it",
        path=None,
        line=None,
        key=name,
    )


def _check(file: ConfigFile) -> None:
    """Refuse a file with a key that there is not, or a value of the wrong type, whichever key is asked for."""
    for name in file.values:
        if name not in KEYS:
            raise file.bad(name, f"has an unknown key {name!r}", _PLACES.get(name) or nearest(name, KEYS))
    for name, value in file.values.items():
        kind = KEYS[name].kind
        if kind == "switch" and not isinstance(value, bool):
            raise file.bad(name, f"needs true or false for {name!r}, not {value!r}", f"write {name} = true")
        if kind == "number" and (type(value) not in (int, float) or not 0 < value < _LARGEST):
            raise file.bad(name, f"needs a number above 0 for {name!r}, not {value!r}", f"write {name} = 30")
        if kind in ("text", "place") and (not isinstance(value, str) or not value.strip()):
            raise file.bad(name, f"needs text for {name!r}, not {value!r}", f'write {name} = "…"')
        if kind == "table":
            _check_table(file, name, value)


def _check_table(file: ConfigFile, name: str, value: object) -> None:
    if not isinstance(value, dict):  # it may hold a secret, which no message repeats
        raise file.bad(name, f"needs a table for {name!r}", f'write [{name}] and below it endpoint = "…"')
    for option, one in value.items():
        if not isinstance(one, str | bool | int):
            raise file.bad(name, f"needs a text, number or switch for {option!r} of {name!r}", 'write it in "quotes"')


def _of_file(file: ConfigFile, name: str, key: _Key) -> Any:
    value = file.values[name]
    if key.kind == "table":
        return {option: str(one).lower() if isinstance(one, bool) else str(one) for option, one in value.items()}
    if key.kind in ("switch", "number"):
        return value
    text = value.strip()
    if name == "views":
        text = os.path.expanduser(text)
    if key.kind != "place" or _ADDRESS.match(text) or text.startswith("~") or os.path.isabs(text):
        return text
    return str(file.path.parent / text)
