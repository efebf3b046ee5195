"""``@capture``: each call of a function is a run, without the function knowing."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakefolio.config.settings import place_of
from lakefolio.errors import InvalidInputError
from lakefolio.process.keywords import explained
from lakefolio.recording.recorder import MISSING, Options, Recording, begin
from lakefolio.runs.run import current_run
from lakefolio.runs.starting import RunSpec
from lakefolio.runs.validation import check_modes, param_texts
from lakefolio.session.annotations import check_tags, check_word, metadata_texts
from lakefolio.session.session import Session, session_of

if TYPE_CHECKING:
    from lakefolio.session.session import HasSession

__all__ = ["capture"]

_sessions: dict[tuple[Any, ...], Session] = {}
_sessions_lock = threading.Lock()


@explained
def capture(
    function: Callable[..., Any] | None = None,
    /,
    *,
    lake: HasSession | str | Path | None = None,
    run_type: str | None = None,
    project: str | None = None,
    model: str | None = None,
    name: str | None = None,
    tags: Any = None,
    params: Any = None,
    description: str | None = None,
    folio: str | None = None,
    storage_modes: Any = None,
    metadata: Any = None,
    cache: bool = False,
    version: str | None = None,
) -> Any:
    """Make each call of a function a run that records its arguments, results, code and status.

    Works on functions, methods, generators, and their async kinds. Arguments that are data (tables, arrays, models,
    bytes, paths of files, references) become inputs, recognised by their content and stored once; what is returned
    becomes outputs (the parts of a tuple one each, so those of a list or dict that holds data, and the data that a
    generator yields as it comes); the rest are parameters. A
    failure in recording never reaches the function or its caller: it warns once, and says what was not kept. Of a call
    that raises the run is ``failed``.

    Args:
        function: The function to decorate; ``@capture`` and ``@capture(…)`` both work.
        lake: The lake, or its address; by default that of the run in whose block the call is, else the default one.
        run_type: See ``Lake.create_run``, as for the next arguments.
        project: The project.
        model: The model.
        name: The run's name; by default the function's.
        tags: Words to find the runs by.
        params: Further parameters.
        description: One sentence.
        folio: Where outputs go; by default a folio for each run.
        storage_modes: By which views the runs want to be found.
        metadata: Further facts.
        cache: Return the stored output, and call nothing, when an earlier call of the same code had the same inputs and
            parameters and is ``done``. The code is the function's and that of all functions, classes and modules of
            one's own that it names, decorators and the classes of arguments and objects included; what these read
            from globals, attributes, closures, defaults, environment variables, items of the lake and files that Python
            opens must be the same too, but for what the call itself changed. What can't be compared (an open file, a
            listing, a query, another lake, another program, a connection, code that ``eval`` or ``import_module``
            finds) makes the call be made again, which is said once. For plain and async functions whose result depends
            on nothing else: whether a file exists, the time and the working directory are not seen.
        version: What else the result depends on, for ``cache``: of installed packages nothing is seen, nor of
            files that a library opens without Python (Arrow, Polars, DuckDB and HDF5 do).

    Raises:
        InvalidInputError: At decoration, for options that no run can have.
    """
    check_word(name, "name")
    check_tags(tags)
    check_modes(storage_modes)
    param_texts(params)
    metadata_texts(metadata or {})
    spec = RunSpec(
        name=name,
        run_type=run_type,
        project=project,
        model=model,
        tags=tags,
        params=params,
        description=description,
        folio=folio,
        storage_modes=storage_modes,
        metadata=metadata,
    )
    options = Options(functools.partial(_session, lake), spec, cache, version)

    def decorate(wrapped: Any) -> Any:
        if isinstance(wrapped, staticmethod | classmethod):
            return type(wrapped)(decorate(wrapped.__func__))
        if not callable(wrapped) or inspect.isclass(wrapped):
            raise InvalidInputError(
                f"capture can't decorate {wrapped!r}", kind="bad-capture", hint="decorate a function or method"
            )
        generates = inspect.isgeneratorfunction(wrapped) or inspect.isasyncgenfunction(wrapped)
        if cache and generates:
            raise InvalidInputError(
                f"capture can't cache the generator {wrapped.__qualname__}",
                kind="bad-capture",
                hint="return a list, or leave cache out",
            )
        return _wrapper(wrapped, options)

    return decorate if function is None else decorate(function)


def _session(given: HasSession | str | Path | None) -> Session:
    """Return the session to record in; lakes that are named by their address are opened once."""
    if given is not None and not isinstance(given, str | Path):
        return session_of(given)
    around = current_run()
    if given is None and around is not None:
        return session_of(around)
    uri, options = place_of(given)
    key = (uri, *sorted((options or {}).items()))
    with _sessions_lock:
        if key not in _sessions:
            _sessions[key] = Session.open(uri, storage_options=options)
        return _sessions[key]


def _wrapper(function: Callable[..., object], options: Options) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):
        return _async_function(function, options)
    if inspect.isasyncgenfunction(function):
        return _async_generator(function, options)
    if inspect.isgeneratorfunction(function):
        return _generator(function, options)
    return _function(function, options)


def _function(function: Callable[..., object], options: Options) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> Any:
        recording = begin(function, options, args, kwargs)
        if recording.answer is not MISSING:
            return recording.answer
        recording.enter()
        try:
            value = function(*args, **kwargs)
        except BaseException as exc:
            recording.leave()
            recording.failed(exc)
            raise
        recording.leave()
        recording.done(value)
        return value

    return call


def _generator(function: Callable[..., object], options: Options) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> Any:
        recording = begin(function, options, args, kwargs)
        generator = function(*args, **kwargs)
        return (yield from _driven(generator, recording))

    return call


def _driven(generator: Any, recording: Recording) -> Any:
    """Drive a generator: its code runs within its run, the code that iterates over it does not."""
    send, value = generator.send, None
    while True:
        recording.enter()
        try:
            try:
                item = send(value)
            finally:
                recording.leave()
        except StopIteration as stop:
            recording.done(stop.value)
            return stop.value
        except BaseException as exc:
            recording.failed(exc)
            raise
        recording.yielded(item)
        try:
            value = yield item
            send = generator.send
        except GeneratorExit:
            generator.close()
            recording.done(None)  # the caller stopped iterating
            raise
        except BaseException as exc:
            send, value = generator.throw, exc


def _async_function(function: Callable[..., Any], options: Options) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        recording = await asyncio.to_thread(begin, function, options, args, kwargs)
        if recording.answer is not MISSING:
            return recording.answer
        recording.enter()
        try:
            value = await function(*args, **kwargs)
        except BaseException as exc:
            recording.leave()
            recording.failed(exc)  # at once: a cancelled task must not wait
            raise
        recording.leave()
        await asyncio.to_thread(recording.done, value)
        return value

    return call


def _async_generator(function: Callable[..., Any], options: Options) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        recording = await asyncio.to_thread(begin, function, options, args, kwargs)
        generator = function(*args, **kwargs)
        send, value = generator.asend, None
        while True:
            recording.enter()
            try:
                try:
                    item = await send(value)
                finally:
                    recording.leave()
            except StopAsyncIteration:
                await asyncio.to_thread(recording.done, None)
                return
            except BaseException as exc:
                recording.failed(exc)
                raise
            await asyncio.to_thread(recording.yielded, item)
            try:
                value = yield item
                send = generator.asend
            except GeneratorExit:
                await generator.aclose()
                recording.done(None)
                raise
            except BaseException as exc:
                send, value = generator.athrow, exc

    return call
