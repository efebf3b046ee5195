"""One captured call: a run that begins, takes what the function gives, and ends. If it fails, the function does not."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lakefolio.config import setting
from lakefolio.errors import LakefolioError
from lakefolio.runs.arguments import call_of, is_data, memo_key
from lakefolio.runs.content import reference_of
from lakefolio.runs.manifest import manifest_of
from lakefolio.runs.starting import start

if TYPE_CHECKING:
    from lakefolio.runs.run import Run
    from lakefolio.session import Session

__all__ = ["MISSING", "Options", "Recording", "begin"]

MISSING: Final[Any] = object()
_MOST_YIELDS: Final = 10_000
_warned: set[tuple[str, str]] = set()


@dataclass(frozen=True, slots=True)
class Options:
    """What the decorator was given."""

    session: Callable[[], Session]
    words: Mapping[str, Any]
    cache: bool
    version: str | None


class Recording:
    """The run of one call; without one (it could not begin) every method does nothing."""

    def __init__(self, function: Callable[..., Any], run: Run | None) -> None:
        self._name = function_name(function)
        self._run = run
        self._entered = False
        self._yielded: list[Any] = []
        self._count = 0
        self.answer: Any = MISSING

    def enter(self) -> None:
        """Make it the current run of this thread or task."""
        if self._run is not None:
            self._run.__enter__()
            self._entered = True

    def leave(self) -> None:
        """Make it so no longer; it goes on."""
        if self._run is not None and self._entered:
            self._entered = False
            self._run._leave()

    def yielded(self, value: Any) -> None:
        """Take what a generator yields: data is stored at once, the rest with the end."""
        self._count += 1
        if self._run is None or value is None:
            return
        if self._count > _MOST_YIELDS:
            if self._count == _MOST_YIELDS + 1:
                self._warn("what it yields", f"it yields more than {_MOST_YIELDS:,} values")
            return
        if is_data(value):
            self._keep(f"yield.{self._count - 1}", value)
        else:
            self._yielded.append(value)

    def done(self, value: Any) -> None:
        """Store what the function returned, and end the run."""
        if self._run is None:
            return
        form = "none"
        if self._yielded:
            self._keep("yields", self._yielded)
        if type(value) is tuple and value:
            form = f"tuple:{len(value)}"
            for number, one in enumerate(value):
                self._keep(f"return.{number}", one)
        elif value is not None:
            form = "one"
            self._keep("return", value)
        with self._guarded("its end"):
            self._run._finish("done", {"returns": form})

    def failed(self, error: BaseException) -> None:
        """End the run as failed."""
        if self._run is not None:
            with self._guarded("its failure"):
                self._run.fail(error)

    def _keep(self, name: str, value: Any) -> None:
        assert self._run is not None
        with self._guarded(f"its output {name!r}"):
            self._run.add_output(name, value)

    def _guarded(self, what: str) -> _Guard:
        return _Guard(self._name, what)

    def _warn(self, what: str, why: str) -> None:
        warn(self._name, what, why)


class _Guard(suppress):
    """Let nothing but the end of the process through; warn once of what was not kept."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(Exception)
        self._name = name
        self._what = what

    def __exit__(self, kind: Any, exc: Any, tb: Any) -> bool:
        caught = bool(super().__exit__(kind, exc, tb))
        if caught and exc is not None:
            warn(self._name, self._what, str(exc) or kind.__name__)
        return caught


def warn(name: str, what: str, why: str) -> None:
    """Say once for each function what capture did not keep, and why."""
    if (name, what) not in _warned:
        _warned.add((name, what))
        with suppress(Warning):  # also where warnings are errors, the user's function goes on
            warnings.warn(f"lakefolio.capture: of {name} {what} was not kept: {why}", RuntimeWarning, stacklevel=2)


def function_name(function: Callable[..., Any]) -> str:
    """Return a function's name with its module."""
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', repr(function))}"


def begin(
    function: Callable[..., Any], options: Options, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Recording:
    """Begin the run of a call: one commit, with its inputs; or find the stored answer of an earlier one.

    Records nothing where the setting ``capture`` is off.
    """
    name = function_name(function)
    recording = Recording(function, None)
    with _Guard(name, "a call"):
        if not setting("capture"):
            return recording
        session = options.session()
        call = call_of(function, args, kwargs)
        for left_out in call.left_out:
            warn(name, *left_out.split(": ", 1))
        refs: dict[str, str] = {}
        for key, data in call.inputs.items():
            with _Guard(name, f"its input {key!r}"):
                refs[key] = reference_of(session, key, data) if not isinstance(data, str) else _text(session, key, data)
        memo = None
        if options.cache:
            memo = memo_key(function, call, refs, session) if len(refs) == len(call.inputs) else None
            if memo is None:
                warn(name, "the use of its cache", "an argument is not known well enough")
            else:
                memo = f"{memo}:{options.version}" if options.version else memo
                recording.answer = _answer(session, memo)
                if recording.answer is not MISSING:
                    return recording
        words = dict(options.words)
        words.setdefault("name", getattr(function, "__qualname__", None))
        metadata = {"function": name, **(words.pop("metadata", None) or {})}
        if options.version:
            metadata["function_version"] = options.version
        params = {**(words.pop("params", None) or {}), **call.params}
        recording._run = start(session, params=params, inputs=refs, metadata=metadata, memo=memo, **words)
    return recording


def _text(session: Session, key: str, data: str) -> str:
    """A text that is too long for a parameter is data, not a reference."""
    from lakefolio.runs.content import find_or_put

    return find_or_put(session, key, data).ref


def _answer(session: Session, memo: str) -> Any:
    """Return what an earlier call of the same code with the same arguments returned, or MISSING."""
    import json

    import pyarrow.compute as pc

    session.journal.refresh()
    rows = session.journal.side_table("metadata")
    mask = pc.and_(pc.equal(rows.column("key"), "memo"), pc.equal(rows.column("value"), json.dumps(memo)))
    for run_id in reversed(rows.filter(mask).column("subject_id").to_pylist()):
        facts = session.metadata_known("run", run_id)
        if facts.get("status") != "done":
            continue
        form = str(facts.get("returns", ""))
        found = {}
        for one in manifest_of(session, run_id).outputs:
            folio, _, rest = one.ref.partition(":")
            item, _, version = rest.rpartition("@")
            found[one.name] = (folio, item, int(version))
        names = ["return"] if form == "one" else []
        if form.startswith("tuple:"):
            names = [f"return.{number}" for number in range(int(form[6:]))]
        if form not in ("one", "none") and not names:
            continue
        try:
            values = [session.load(session.entry(*found[name])) for name in names]
        except (KeyError, LakefolioError):
            continue  # its outputs are not all there: the function is called again
        return None if form == "none" else values[0] if form == "one" else tuple(values)
    return MISSING
