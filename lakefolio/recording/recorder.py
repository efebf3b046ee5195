"""One captured call as a run: it begins, stores the results, and ends. Its failures never reach the function."""

from __future__ import annotations

import contextlib
import functools
import json
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakefolio.config.settings import setting
from lakefolio.errors import LakefolioError
from lakefolio.format.names import parse_ref
from lakefolio.items.handler import is_read_once
from lakefolio.recording.call_arguments import Call, call_of, free_name, is_data, memo_key, parts_of
from lakefolio.recording.fingerprint import Fingerprint, fingerprint_of
from lakefolio.redaction import MASK, scrub, scrub_value
from lakefolio.runs.given_data import reference_of
from lakefolio.runs.record import manifest_of
from lakefolio.runs.run import finish_with, leave_block
from lakefolio.runs.starting import RunSpec, start
from lakefolio.session.file_reads import digests, watch_files
from lakefolio.session.read_trace import FILE, ReadTrace, content_of, digest_of_file, read_known, traced, unwatched

if TYPE_CHECKING:
    from lakefolio.runs.run import Run
    from lakefolio.session.session import Session

__all__ = ["MISSING", "Options", "Recording", "begin"]

MISSING: Final[Any] = object()
_INSIDE: Final = (str(Path(__file__).parents[1]), contextlib.__file__)
_MOST_YIELDS: Final = 10_000
_warned: set[tuple[str, str]] = set()


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the decorator."""

    session: Callable[[], Session]
    spec: RunSpec
    cache: bool
    version: str | None


class Recording:
    """The run of one call; without one (it could not begin) every method does nothing."""

    def __init__(self, function: Callable[..., object], run: Run | None) -> None:
        self.name = function_name(function)
        self._run = run
        self._entered = False
        self._yielded: list[Any] = []
        self._count = 0
        self._reads: Callable[[], Fingerprint] | None = None
        self._before: Fingerprint | None = None
        self._trace: ReadTrace | None = None
        self._traced = ExitStack()
        self.answer: Any = MISSING

    def prepare(self, look: Callable[[], Fingerprint], before: Fingerprint, trace: ReadTrace) -> None:
        """Prepare to keep the answer for later calls: trace reads until the end, and look at the code again then."""
        self._reads, self._before, self._trace = look, before, trace

    def enter(self) -> None:
        """Make it the current run of this thread or task."""
        if self._run is not None:
            self._run.__enter__()
            self._traced.enter_context(traced(self._trace))
            self._entered = True

    def leave(self) -> None:
        """Make it so no longer; it goes on."""
        if self._run is not None and self._entered:
            self._entered = False
            self._traced.close()
            leave_block(self._run)

    def yielded(self, value: object) -> None:
        """Take a value that a generator yields: data is stored at once, the rest at the end."""
        self._count += 1
        if self._run is None or value is None:
            return
        if is_read_once(value):
            self._warn("what it yields", "it can be read only once, which is left to the caller")
            return
        if self._count > _MOST_YIELDS:
            if self._count == _MOST_YIELDS + 1:
                self._warn("what it yields", f"it yields more than {_MOST_YIELDS:,} values")
            return
        if is_data(value) or parts_of(value) is not None:
            self._keep(f"yield.{self._count - 1}", value)
        else:
            self._yielded.append(value)

    def done(self, value: object) -> None:
        """Store the function's result, and end the run."""
        if self._run is None:
            return
        form = "none"
        if self._yielded:
            self._keep("yields", self._yielded)
        if type(value) is tuple and value:
            form = f"tuple:{len(value)}"
            for number, one in enumerate(value):
                self._keep(f"return.{number}", one)
            if any(parts_of(one) is not None for one in value):
                form = "parts"
        elif value is not None:
            form = _form(value)
            self._keep("return", value)
        with self._guarded("its end"):
            facts: dict[str, object] = {"returns": form}
            if self._reads is not None and self._before is not None and self._trace is not None:
                after = self._reads()
                files = digests(self._trace)
                unknown = self._trace.unknown or after.unknown
                if unknown is None:
                    facts["memo_values"] = self._before.unchanged(after)
                    facts["memo_reads"] = self._trace.found | files
                else:
                    self._warn("its answer, to be used again,", unknown)
            finish_with(self._run, facts)

    def failed(self, error: BaseException) -> None:
        """End the run as failed."""
        if self._run is not None:
            with self._guarded("its failure"):
                self._run.fail(error)

    def _keep(self, name: str, value: object) -> None:
        """Store an output; of a container that holds data each member by itself."""
        assert self._run is not None
        if is_read_once(value):
            self._warn(f"its output {name!r}", "it can be read only once, which is left to the caller")
            return
        parts = None if is_data(value) else parts_of(value)
        if parts is not None:
            for part, (_, one) in zip(_part_names(name, parts), parts, strict=True):
                self._keep(part, one)
            return
        with self._guarded(f"its output {name!r}"):
            self._run.add_output(name, value)

    def _guarded(self, what: str) -> _Guard:
        return _Guard(self.name, what)

    def _warn(self, what: str, why: str) -> None:
        warn(self.name, what, why)


def _form(value: object) -> str:
    """Return the form in which a function's result is rebuilt from its outputs; ``parts`` if it can't be."""
    parts = None if is_data(value) else parts_of(value)
    if parts is None:
        return "one"
    if any(parts_of(one) is not None and not is_data(one) for _, one in parts):
        return "parts"
    if type(value) is list:
        return f"list:{len(value)}"
    if type(value) is dict and all(type(key) is str for key in value):
        return f"dict:{json.dumps(list(value))}"
    return "parts"


def _part_names(name: str, parts: Sequence[tuple[str, object]]) -> list[str]:
    """Return the names of a container's members as outputs, all different."""
    found: dict[str, None] = {}
    for key, _ in parts:
        found[free_name(f"{name}.{key}", found)] = None
    return list(found)


class _Guard(suppress):
    """Let no exception through but the end of the process; warn once of a value that was not kept."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(Exception)
        self.name = name
        self._what = what

    def __exit__(self, kind: Any, exc: Any, tb: Any) -> bool:
        caught = bool(super().__exit__(kind, exc, tb))
        if caught and exc is not None:
            warn(self.name, self._what, str(exc) or kind.__name__)
        return caught


def warn(name: str, what: str, why: str) -> None:
    """Warn once for each function of a value that capture did not keep, and why."""
    if (name, what) not in _warned:
        _warned.add((name, what))
        with suppress(Warning):  # also where warnings are errors, the user's function goes on
            text = scrub(f"lakefolio.capture: of {name} {what} was not kept: {why}")
            warnings.warn(text, RuntimeWarning, stacklevel=_level_of_caller())


def _level_of_caller() -> int:
    """Return the ``stacklevel``, for who calls this, of the nearest code that is not this library's."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_INSIDE):
        frame, level = frame.f_back, level + 1
    return level


def function_name(function: Callable[..., object]) -> str:
    """Return a function's name with its module."""
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', repr(function))}"


def begin(
    function: Callable[..., object], options: Options, args: tuple[object, ...], kwargs: Mapping[str, object]
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
        for hidden in call.hidden:
            warn(name, f"argument {hidden!r}", f"it seems to hold a secret; {MASK} is recorded in its place")
        for left_out in call.left_out:
            warn(name, *left_out.split(": ", 1))
        refs: dict[str, str] = {}
        for key, data in call.inputs.items():
            with _Guard(name, f"its input {key!r}"):
                refs[key] = reference_of(session, key, data) if not isinstance(data, str) else _text(session, key, data)
        memo = _prepare_cache(recording, function, options, call, refs, session) if options.cache else None
        if recording.answer is not MISSING:
            return recording
        spec = options.spec
        metadata = {"function": name, **(spec.metadata or {})}
        if options.version:
            metadata["function_version"] = options.version
        spec = replace(
            spec,
            name=getattr(function, "__qualname__", None) if spec.name is None else spec.name,
            params={**(spec.params or {}), **_recorded(name, call.params)},
            inputs=refs,
            metadata=metadata,
            memo=memo,
        )
        recording._run = start(session, spec)
    return recording


def _recorded(function: str, params: Mapping[str, object]) -> dict[str, object]:
    """Return parameters as they are recorded: without secrets, which is said once for each."""
    found = {key: scrub_value(value, key) for key, value in params.items()}
    for key, value in params.items():
        if found[key] is not value:
            warn(function, f"argument {key!r}", f"it seems to hold a secret; {MASK} is recorded in its place")
    return found


def _prepare_cache(
    recording: Recording,
    function: Callable[..., object],
    options: Options,
    call: Call,
    refs: Mapping[str, str],
    session: Session,
) -> str | None:
    """Find the answer of an earlier call, or prepare to keep this one's; return the key that equal calls share.

    None where the answer depends on something that can't be compared: then nothing is used again.
    """
    look = functools.partial(fingerprint_of, function, list(call.values))
    reads = look()
    memo = memo_key(reads.code, call, refs, session) if len(refs) == len(call.inputs) else None
    if memo is None or reads.unknown is not None:
        warn(recording.name, "the use of its cache", reads.unknown or "an argument is not known well enough")
        return None
    memo = f"{memo}:{options.version}" if options.version else memo
    recording.answer = _answer(session, memo, reads.values)
    if recording.answer is MISSING:
        watch_files()
        recording.prepare(look, reads, ReadTrace(session.place))
    return memo


def _text(session: Session, key: str, data: str) -> str:
    """A text that is too long for a parameter is data, not a reference."""
    from lakefolio.runs.given_data import find_or_put

    return find_or_put(session, key, data).ref


def _answer(session: Session, memo: str, values: Mapping[str, str]) -> object:
    """Return the result of an earlier call of the same code with the same arguments, or MISSING.

    Args:
        session: The lake.
        memo: The key that equal calls share.
        values: Values that the code reads: they must equal those that the earlier call read.
    """
    for run_id in reversed(session.journal.refresh().runs_noting("memo", [json.dumps(memo)])):
        facts = session.metadata_known("run", run_id)
        read = facts.get("memo_values")
        if facts.get("status") != "done" or not isinstance(read, dict):
            continue
        if any(values.get(name) != digest for name, digest in read.items()):
            continue
        looked_up = facts.get("memo_reads")
        if not isinstance(looked_up, dict) or not _reads_the_same(session, looked_up):
            continue
        with unwatched():
            outputs = {one.name: one.ref for one in manifest_of(session, run_id).outputs}
        with suppress(KeyError, ValueError, LakefolioError):  # its outputs are not all there: the function is called
            found = _put_together(str(facts.get("returns", "")), lambda name: _loaded(session, outputs[name]))  # noqa: B023
            read_known(session.place, looked_up)
            return found
    return MISSING


def _reads_the_same(session: Session, found: Mapping[str, str | None]) -> bool:
    """Say whether the items and files that an earlier call read are unchanged."""
    for name, content in found.items():
        if name.startswith(FILE):
            if digest_of_file(name.removeprefix(FILE)) != content:
                return False
            continue
        folio, colon, item = name.partition(":")
        try:
            if colon:
                entry = session.unwatched_committed().entry(folio, item)
                if (None if entry is None else content_of(entry)) != content or (entry is None) != (content is None):
                    return False
            else:
                folio, _, at = name.partition("@")
                if str(session.resolve(at, folio or None)) != content:
                    return False
        except LakefolioError:
            return False
    return True


def _loaded(session: Session, ref: str) -> object:
    named = parse_ref(ref)
    return session.load(session.entry(named.folio or "", named.item, named.at))


def _put_together(form: str, load: Callable[[str], object]) -> object:
    """Return the result of a call, from its outputs; KeyError or ValueError if they don't suffice."""
    kind, _, rest = form.partition(":")
    match kind:
        case "none":
            return None
        case "one":
            return load("return")
        case "tuple":
            return tuple(load(f"return.{number}") for number in range(int(rest)))
        case "list":
            return [load(f"return.{number}") for number in range(int(rest))]
        case "dict":
            keys = json.loads(rest)
            names = _part_names("return", [(key, None) for key in keys])
            return {key: load(name) for key, name in zip(keys, names, strict=True)}
    raise ValueError(form)
