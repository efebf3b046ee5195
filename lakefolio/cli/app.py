"""What all commands share: the options of each, the lake they open, and how a function becomes a command."""

from __future__ import annotations

import gc
import os
import re
import shlex
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from click.shell_completion import CompletionItem

from lakefolio.cli.output import Output
from lakefolio.errors import InvalidInputError, LakeNotFoundError, nearest

if TYPE_CHECKING:
    from lakefolio.cli.glance import Glance
    from lakefolio.lake import Lake
    from lakefolio.storage import Store

__all__ = [
    "SETTINGS",
    "SHARED_OPTIONS",
    "App",
    "Command",
    "Group",
    "Shared",
    "UnknownCommand",
    "command",
    "group",
    "shared_options",
]

_PLAIN_KINDS: Final = ("json", "timestamp", "artifact", "directory")
"""The kinds of content that nothing of pandas is needed for."""
_BACK: Final = re.compile(r"-\d+")
SHARED_OPTIONS: Final = ("lake_uri", "at", "as_json")
_SENTENCE: Final = 500
SETTINGS: Final[dict[str, Any]] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
F = TypeVar("F", bound=Callable[..., Any])


class App:
    """The options that all commands share.

    Attributes:
        lake_uri: The lake as given, or None for the configured one.
        at: The version, time or snapshot to read, or None for the newest.
        as_json: Whether to print JSON.
        own_process: Whether nothing but this command runs in the process.
    """

    def __init__(self, *, own_process: bool = False) -> None:
        self.own_process = own_process
        self.lake_uri: str | None = None
        self.at: str | None = None
        self.as_json = False

    @cached_property
    def output(self) -> Output:
        """Where results go."""
        return Output(self.as_json)

    def open(self, *, writing: bool = False) -> Lake:
        """Open the lake, which must exist, at ``at`` if that was given.

        Args:
            writing: Whether the command changes the lake; with ``at`` that is then refused by the library.
        """
        with self._quick_imports():
            from lakefolio.lake import open_lake

        with self._hints():
            lake = open_lake(self.lake_uri, create=False, read_only=not writing)
        return lake if self.at is None else lake.at(self.at)

    def glance(self, *, alone: bool = True) -> Lake | Glance:
        """Return what tells folios and items at ``at``: of the newest state without the rest of a lake.

        Args:
            alone: Whether the command asks nothing else, so that nothing needs NumPy.
        """
        if self.at is not None:
            return self.open()
        if alone:
            self._leave_out("numpy")
        with self._quick_imports():
            from lakefolio.cli.glance import Glance

            store, lake_id = self.place(writing=False)
        return Glance(store, lake_id)

    def open_for(self, ref: str) -> tuple[Lake, str]:
        """Open the lake to read what ``ref`` names; of an item, an ``--at`` that counts back counts its own changes.

        Returns:
            The lake, and the reference to read in it: ``folio:item@-1`` and ``folio:item --at -1`` mean the same.
        """
        if self.at is None or ":" not in ref or "@" in ref or not _BACK.fullmatch(self.at.removeprefix("@")):
            return self.open(), ref
        ref, self.at = f"{ref}@{self.at.removeprefix('@')}", None
        return self.open(), ref

    def spare_imports(self) -> None:
        """Let nothing be imported or started that only the content of items needs."""
        self._leave_out("pandas")
        self._leave_out("cloudpickle")
        if self.own_process:
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy would start one for each core

    def allow_imports(self, kind: str) -> None:
        """Let all be imported again for the content of an item of a kind.

        pyarrow has looked for pandas by now, and looks again only when it makes a frame: it makes one here,
        for kinds that may be frames.
        """
        left_out = [one for one in sys.meta_path if isinstance(one, _Without)]
        for one in left_out:
            sys.meta_path.remove(one)
        if left_out and kind not in _PLAIN_KINDS:
            import pyarrow as pa

            with suppress(ImportError):
                pa.table({"none": pa.nulls(0)}).to_pandas()

    def _leave_out(self, library: str) -> None:
        """Let a library seem not to be installed: pyarrow imports it if it is there, and does without."""
        if self.own_process and library not in sys.modules:
            sys.meta_path.insert(0, _Without(library))

    @contextmanager
    def _quick_imports(self) -> Iterator[None]:
        """Let no garbage be looked for in the block: imports make none, and looking is a sixth of what ``ls`` takes."""
        paused = self.own_process and gc.isenabled()
        if paused:
            gc.disable()
        try:
            yield
        finally:
            if paused:
                gc.enable()

    def line(self, *args: str) -> str:
        """Return a command line that works for the same lake, to be copied."""
        lake = () if self.lake_uri is None else ("--lake", self.lake_uri)
        return shlex.join(["lakefolio", *lake, *args])

    def place(self, *, writing: bool) -> tuple[Store, str]:
        """Return where the lake lies, which must exist, and its id; its journal is not read."""
        from lakefolio.config.settings import blamed, place_of
        from lakefolio.format.marker import read_marker
        from lakefolio.session.create import find_marker
        from lakefolio.storage import open_store

        try:
            store = open_store(*place_of(self.lake_uri))
        except InvalidInputError as exc:
            if self.lake_uri is None and exc.kind == "bad-uri":
                raise blamed("lake", exc) from None
            raise
        with self._hints():
            marker = read_marker(find_marker(store), store.uri, writing=writing)
        return store, marker.lake_id

    @contextmanager
    def _hints(self) -> Iterator[None]:
        """Say in the words of the command line what to do where there is no lake."""
        try:
            yield
        except LakeNotFoundError as exc:
            from lakefolio.cli.nearby import lakes_here, lakes_near

            if self.lake_uri is None:
                found = ", ".join(f"--lake {shlex.quote(one)}" for one in lakes_here())
                near = f"; found here: {found}" if found else ""
                exc.hint = f"name one with --lake or LAKEFOLIO_LAKE, or create it: lakefolio init{near}"
            elif exc.kind == LakeNotFoundError.default_kind:
                completing = "_LAKEFOLIO_COMPLETE" in os.environ  # nobody would see it, and it costs requests
                found = "" if completing else ", ".join(map(shlex.quote, lakes_near(self.lake_uri)))
                near = f"; found near: {found}" if found else ""
                exc.hint = f"check the address, or create it: lakefolio init {self.lake_uri}{near}"
            raise


class _Without:
    """Lets Python find no library of a name.

    pyarrow imports NumPy and cloudpickle, and pandas with its first array: that takes longer than all that ``ls`` does.
    """

    def __init__(self, library: str) -> None:
        self._library = library

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == self._library:
            raise ImportError(f"{name} is not needed here", name=name)


class Shared(click.Command):
    """Makes the App before options are parsed, so that all levels share it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Make the App, then parse."""
        ctx.ensure_object(App)
        return super().parse_args(ctx, args)


class Command(Shared):
    """A command with a runnable example in its help.

    Attributes:
        example: The example.
        light: Whether it never touches the content of an item.
        whens: Whether its arguments are versions and times, so that ``-1`` is one of them and no option.
    """

    def __init__(self, *args: Any, example: str = "", light: bool = False, whens: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example
        self.light = light
        self.whens = whens

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; what counts back is written with the ``@`` that may stand before any version."""
        if self.whens:
            args = [f"@{one}" if _BACK.fullmatch(one) else one for one in args]
        return super().parse_args(ctx, args)

    def get_short_help_str(self, limit: int = 45) -> str:
        """Return the first sentence whole; a list of commands folds what is too long for its line."""
        return super().get_short_help_str(max(limit, _SENTENCE))

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        if self.light:
            ctx.ensure_object(App).spare_imports()
        return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example."""
        with formatter.section("Example"):
            for line in self.example.splitlines():
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")


_OTHER_WORDS = {
    **dict.fromkeys(("delete", "remove", "del"), "rm"),
    **dict.fromkeys(("rename", "move"), "mv"),
    **dict.fromkeys(("publish", "html"), "export"),
    **dict.fromkeys(("serve", "web", "view"), "ui"),
    **dict.fromkeys(("revert", "rollback", "checkout", "undo"), "restore"),
    **dict.fromkeys(("download", "cat"), "get"),
    **dict.fromkeys(("upload", "put"), "add"),
    "copy": "cp",
    "list": "ls",
    "create": "init",
}
"""What other programs call a command."""


class UnknownCommand(click.UsageError):
    """A command that does not exist."""

    def __init__(self, name: str, known: Collection[str], ctx: click.Context) -> None:
        super().__init__(f"there is no command {name!r}", ctx)
        other = _OTHER_WORDS.get(name)
        hint = f"did you mean {other!r}?" if other in known else nearest(name, known)
        self.hint = f"{hint} ({ctx.command_path} --help lists all)"


def _keep(ctx: click.Context, param: click.Parameter, value: object) -> None:
    """Note an option that may stand before or after the command; the later one counts."""
    if value not in (None, False):
        setattr(ctx.ensure_object(App), param.name or "", value)


def _whens(ctx: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete versions and snapshots."""
    from lakefolio.cli.naming import whens

    return whens(ctx, param, typed)


def shared_options(function: F) -> F:
    """Give a command the options that all commands take."""
    for option in (
        click.option(
            "--json", "as_json", is_flag=True, help="Print JSON instead of text.", expose_value=False, callback=_keep
        ),
        click.option(
            "--at",
            metavar="WHEN",
            shell_complete=_whens,
            help="Read the lake as of a version (17, -1 is the one before), a time ('2026-11-25 21:27', yesterday, "
            "'2 days ago'; local unless it names a zone) or a snapshot.",
            expose_value=False,
            callback=_keep,
        ),
        click.option(
            "--lake",
            "lake_uri",
            metavar="URI",
            shell_complete=lambda ctx, param, typed: [CompletionItem(typed, "dir")],
            help="The lake; else LAKEFOLIO_LAKE, else the one configured, else ./lake.",
            expose_value=False,
            callback=_keep,
        ),
    ):
        function = option(function)
    return function


class Group(Command, click.Group):
    """A command whose first argument names another one.

    Attributes:
        stray: The hint where another word stands in its place; ``{}`` is that word.
    """

    stray: str | None = None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; see click."""
        if self.stray is not None and args and args[0] not in self.commands and not args[0].startswith("-"):
            wrong = UnknownCommand(args[0], self.commands, ctx)
            wrong.hint = self.stray.format(args[0])
            raise wrong
        return super().resolve_command(ctx, args)


def group(
    *, example: str, light: bool = False, alone: bool = False, stray: str | None = None
) -> Callable[[Callable[..., None]], Group]:
    """Make a function a group of commands.

    Args:
        example: A command line that works, shown in the help.
        light: Whether its commands never touch the content of an item.
        alone: Whether the function does something itself where no command is named, instead of showing the help.
        stray: The hint where a word stands in the place of a command, which ``{}`` repeats.
    """

    def made(function: Callable[..., None]) -> Group:
        found = click.group(
            cls=Group,
            context_settings=SETTINGS,
            no_args_is_help=not alone,
            invoke_without_command=alone,
            example=example,
            light=light,
        )(shared_options(function))
        found.stray = stray
        return found

    return made


def command(
    name: str | None = None, /, *, example: str, light: bool = False, whens: bool = False, of: Group | None = None
) -> Callable[[Callable[..., Any]], Command]:
    """Make a function a command: it gets the App, then its own arguments.

    Args:
        name: Its name; by default the function's.
        example: A command line that works, shown in the help.
        light: Whether it never touches the content of an item.
        whens: Whether its arguments are versions and times.
        of: The group that it belongs to.
    """

    def made(function: Callable[..., object]) -> Command:
        found = click.command(name, cls=Command, example=example, light=light, whens=whens, context_settings=SETTINGS)(
            shared_options(click.pass_obj(function))
        )
        assert isinstance(found, Command)
        found.params.sort(key=lambda param: param.name in SHARED_OPTIONS)  # its own come first in the help
        if of is not None:
            of.add_command(found)
        return found

    return made
