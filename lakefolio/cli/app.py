"""The frame of all commands: finding them, the options they share, and what becomes of errors."""

from __future__ import annotations

import errno
import importlib
import io
import keyword
import os
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import click

from lakefolio import __version__
from lakefolio.cli.output import Output
from lakefolio.errors import LakefolioError, LakeNotFoundError, nearest
from lakefolio.process.notice import LakefolioWarning

if TYPE_CHECKING:
    from lakefolio.lake import Lake
    from lakefolio.storage import Store

__all__ = [
    "COMMANDS",
    "DECLINED",
    "EXIT_CODES",
    "GROUPS",
    "SETTINGS",
    "SHARED_OPTIONS",
    "App",
    "Command",
    "Commands",
    "Shared",
    "UnknownCommand",
    "cli",
    "command",
    "main",
    "shared_options",
]

GROUPS: Final = {
    "Begin": {
        "init": "Create a lake.",
        "demo": "Run the main job on real data: store, join, train, break, recover.",
        "config": "Show each setting, its value and where that was said.",
        "completion": "Print the script that makes a shell complete commands and names.",
    },
    "Items": {
        "ls": "List folios, or the items of one.",
        "show": "Show what is known about a lake, a folio or an item.",
        "get": "Write the content of an item to a file or to stdout.",
        "add": "Add a file, a folder or stdin as an item.",
        "rm": "Remove items; their entries stay in the history.",
        "mv": "Rename an item, or move it to another folio.",
        "cp": "Copy an item under another name; copies no content.",
        "import": "Bring in what MLflow, DVC, DataFolio, MLtrack or a folder keeps.",
        "tag": "Add tags to an item, or take some away.",
        "archive": "Hide items from listings, or show them again.",
    },
    "History": {
        "log": "List commits, newest first.",
        "history": "List every change of an item, newest first.",
        "diff": "Show what changed between two versions.",
        "snapshot": "Take, list and drop snapshots: protected names for versions.",
        "restore": "Bring a lake, a folio or some items back to what they were.",
        "lineage": "Show what an item was made of, and what was made of it.",
    },
    "Questions": {
        "sql": "Answer a SQL query over the lake's views.",
        "query": "Find items by what is known about them; all conditions must hold.",
        "datasets": "Make, list and show datasets: collections of items under one name.",
        "runs": "List runs, newest first, or walk them like folders.",
        "run": "Show what is recorded of a run.",
        "compare": "Put runs side by side: parameters, metrics, inputs, and curves.",
        "ui": "Look at a lake in a browser: runs, curves, items, lineage, history.",
        "export": "Freeze the page of lakefolio ui, or publish a folio with a description that others read.",
    },
    "Maintenance": {
        "check": "Verify the lake; exit with 8 if anything is wrong.",
        "repair": "Bring back what is lost or damaged from a second copy.",
        "gc": "Delete content that nothing needs.",
        "why": "Show what keeps content alive: live items, snapshots, history.",
        "doctor": "Examine whether a place can hold a lake safely.",
        "compact": "Merge the small files of the tables.",
        "stats": "Show what the lake holds, and what it takes to store.",
    },
}
"""Every command with its one line, so that ``--help`` need not import them."""

COMMANDS: Final = {name: line for group in GROUPS.values() for name, line in group.items()}

EXIT_CODES: Final = {
    0: "done",
    1: "a bug or an unknown failure, with its traceback",
    2: "wrong usage or input that can't be accepted",
    3: "not found: lake, folio, item, version or snapshot",
    4: "already exists",
    5: "another writer was in the way; try again",
    6: "read-only",
    7: "the store can't be reached or refuses",
    8: "damage: content is missing or not what was written",
    9: "the lake needs a newer library",
    10: "loading would run code that is not trusted",
    130: "interrupted, or the answer was no",
}
"""What exit codes mean; those of errors are ``LakefolioError.exit_code``."""

DECLINED: Final = 130

_HINTS: Final = {
    "item-exists": "choose another name, or give --overwrite; the old entry stays in the history",
    "words-dropped": "--keep carries them over; lakefolio history shows the version that still has them",
    "read-only-version": "leave --at out; lakefolio restore brings the past back",
}
"""What to do in the words of the command line, where the library speaks of Python."""

_OUTPUT_ERRORS: Final = (errno.EPIPE, errno.ENOSPC, errno.EBADF, errno.EIO, errno.EDQUOT, errno.EFBIG)
_BACK: Final = re.compile(r"-\d+")
SHARED_OPTIONS: Final = ("lake_uri", "at", "as_json")
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
        from lakefolio.lake import open_lake

        with self._hints():
            lake = open_lake(self.lake_uri, create=False, read_only=not writing)
        return lake if self.at is None else lake.at(self.at)

    def line(self, *args: str) -> str:
        """Return a command line that works for the same lake, to be copied."""
        lake = () if self.lake_uri is None else ("--lake", self.lake_uri)
        return shlex.join(["lakefolio", *lake, *args])

    def place(self, *, writing: bool) -> tuple[Store, str]:
        """Return where the lake lies, which must exist, and its id; its journal is not read."""
        from lakefolio.config.settings import place_of
        from lakefolio.format.marker import read_marker
        from lakefolio.session.create import find_marker
        from lakefolio.storage import open_store

        store = open_store(*place_of(self.lake_uri))
        with self._hints():
            marker = read_marker(find_marker(store), store.uri, writing=writing)
        return store, marker.lake_id

    @contextmanager
    def _hints(self) -> Iterator[None]:
        """Say in the words of the command line what to do where there is no lake."""
        try:
            yield
        except LakeNotFoundError as exc:
            if self.lake_uri is None:
                exc.hint = "name one with --lake or LAKEFOLIO_LAKE, or create it: lakefolio init"
            elif exc.kind == LakeNotFoundError.default_kind:
                exc.hint = f"check the address, or create it: lakefolio init {self.lake_uri}"
            raise


class _WithoutPandas(MetaPathFinder):
    """Lets pyarrow find no pandas: it would import it with the first array, for half of the time that ``ls`` takes."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name == "pandas":
            raise ImportError("pandas is not needed here", name=name)


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

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        if self.light and ctx.ensure_object(App).own_process:
            sys.meta_path.insert(0, _WithoutPandas())
        return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example."""
        with formatter.section("Example"):
            for line in self.example.splitlines():
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class Commands(Shared, click.Group):
    """All commands; each is imported when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of a first acquaintance."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a command."""
        if name not in COMMANDS:
            return None
        own = f"{name}_" if keyword.iskeyword(name) else name
        found = getattr(importlib.import_module(f"lakefolio.cli.{own}"), own)
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; an unknown one gets a hint."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise UnknownCommand(args[0], COMMANDS, ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        width = max(map(len, COMMANDS))
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:<{width}}", line) for name, line in commands.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write an example and the exit codes."""
        with formatter.section("Example"):
            formatter.write_text("lakefolio demo --lake ./lake")
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in EXIT_CODES.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; errors of the library become a line and an exit code, others keep their traceback."""
        app = ctx.ensure_object(App)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("always", LakefolioWarning)
                warnings.showwarning = lambda message, *_, **__: app.output.warn(_worded(message))
                found = super().invoke(ctx)
                sys.stdout.flush()  # what can't be written is said here, not where the interpreter ends
                return found
        except LakefolioError as exc:
            exc.hint = _HINTS.get(exc.kind) or self._command_for(app, exc) or exc.hint
            app.output.failed(exc)
            ctx.exit(exc.exit_code)

    @staticmethod
    def _command_for(app: App, exc: LakefolioError) -> str | None:
        """Return the commands that read, or bring back, an item that is elsewhere in time."""
        came, gone = exc.objects.get("came_at"), exc.objects.get("deleted_at")
        if not (isinstance(came, int) or isinstance(gone, int)) or exc.objects.get("input"):
            return None
        ref = f"{exc.objects.get('folio')}:{exc.objects.get('item')}"
        if isinstance(came, int):
            return f"read it: {app.line('get', f'{ref}@{came}')}"
        last = int(gone or 1) - 1
        read, restore = app.line("get", f"{ref}@{last}"), app.line("restore", str(last), "--item", ref)
        return f"read it: {read}; or restore it: {restore}"

    def main(self, args: Any = None, *more: Any, standalone_mode: bool = True, **kwargs: Any) -> Any:
        """Run, and say what was wrong with the usage in the same form as other errors."""
        # what is wrong with the usage may be found before --json is
        output = Output("--json" in (sys.argv if args is None else args))
        try:
            code: Any = super().main(args, *more, standalone_mode=False, **kwargs)  # type: ignore[call-overload]
        except click.UsageError as exc:
            _usage_failed(exc, output)
            code = 2
        except click.ClickException as exc:
            output.fail(exc.format_message(), kind="usage", hint=None, exit_code=exc.exit_code)
            code = exc.exit_code
        except click.Abort:
            output.note("\ninterrupted")
            code = DECLINED
        except SystemExit as exc:  # how click ends where a reader has read enough, which is no failure
            code = exc.code
            if type(sys.stdout).__name__.strip("_") == "PacifyFlushWrapper":
                _drop_output()
                code = 0
        except OSError as exc:
            if exc.filename is not None or exc.errno not in _OUTPUT_ERRORS:
                raise
            _drop_output()
            output.fail(f"output can't be written: {exc.strerror}", kind="output", hint=None, exit_code=7)
            code = 7
        if not standalone_mode:
            return code
        sys.exit(code if isinstance(code, int) else 0)


def _worded(message: Warning | str) -> str:
    """Return a warning in the words of the command line."""
    if isinstance(message, LakefolioWarning) and message.kind in _HINTS:
        return f"{message.message} ({_HINTS[message.kind]})"
    return str(message)


class UnknownCommand(click.UsageError):
    """A command that does not exist."""

    def __init__(self, name: str, known: Iterable[str], ctx: click.Context) -> None:
        super().__init__(f"there is no command {name!r}", ctx)
        self.hint = nearest(name, known)


class _Closed(io.TextIOBase):
    """Stands for a stdout that was closed before we began: a result that nobody gets is an error."""

    def write(self, text: Any) -> int:
        """Fail as the system would."""
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    @property
    def buffer(self) -> _Closed:
        """Where bytes are written, in vain too."""
        return self


def _drop_output() -> None:
    """Send what is still to be written to stdout nowhere."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complete_streams() -> None:
    """Let the three standard streams exist, so that no file that is opened later takes the number of one."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or io.TextIOWrapper(io.BytesIO())
    sys.stdout = sys.stdout or _Closed()
    sys.stderr = sys.stderr or io.StringIO()


def _usage_failed(exc: click.UsageError, output: Output) -> None:
    if type(exc).__name__ == "NoArgsIsHelpError":  # newer versions of click tell the help so
        click.echo(exc.format_message(), err=True)
        return
    ctx = exc.ctx
    message = exc.format_message().rstrip(".")
    path = ctx.command_path if ctx is not None else "lakefolio"
    hint = getattr(exc, "hint", None) or f"see {path} --help"
    output.fail(message[:1].lower() + message[1:], kind="usage", hint=hint, exit_code=2)


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Note an option that may stand before or after the command; the later one counts."""
    if value not in (None, False):
        setattr(ctx.ensure_object(App), param.name or "", value)


def shared_options(function: F) -> F:
    """Give a command the options that all commands take."""
    for option in (
        click.option(
            "--json", "as_json", is_flag=True, help="Print JSON instead of text.", expose_value=False, callback=_keep
        ),
        click.option(
            "--at",
            metavar="WHEN",
            help="Read the lake as of a version (17, -1 is the one before), a time ('2026-11-25 21:27', yesterday, "
            "'2 days ago'; local unless it names a zone) or a snapshot.",
            expose_value=False,
            callback=_keep,
        ),
        click.option(
            "--lake",
            "lake_uri",
            metavar="URI",
            help="The lake; else LAKEFOLIO_LAKE, else the one configured, else ./lake.",
            expose_value=False,
            callback=_keep,
        ),
    ):
        function = option(function)
    return function


def command(
    name: str | None = None, /, *, example: str, light: bool = False, whens: bool = False
) -> Callable[[Callable[..., Any]], Command]:
    """Make a function a command: it gets the App, then its own arguments.

    Args:
        name: Its name; by default the function's.
        example: A command line that works, shown in the help.
        light: Whether it never touches the content of an item.
        whens: Whether its arguments are versions and times.
    """

    def made(function: Callable[..., Any]) -> Command:
        found = click.command(name, cls=Command, example=example, light=light, whens=whens, context_settings=SETTINGS)(
            shared_options(click.pass_obj(function))
        )
        assert isinstance(found, Command)
        found.params.sort(key=lambda param: param.name in SHARED_OPTIONS)  # its own come first in the help
        return found

    return made


@click.group(cls=Commands, context_settings=SETTINGS, no_args_is_help=True)
@shared_options
@click.version_option(__version__, prog_name="lakefolio", message="%(prog)s %(version)s")
def cli() -> None:
    """Versioned data on a bare bucket: the bucket is the database.

    An item is named [FOLIO:]NAME[@VERSION-OR-SNAPSHOT]. The options --lake, --at and --json may stand before or after
    the command. Results go to stdout, everything else to stderr.
    """


def main() -> NoReturn:
    """Run the command line; never returns."""
    _complete_streams()
    for stream in (sys.stdout, sys.stderr):  # a terminal that knows no UTF-8 must not stop a command
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    cli(prog_name="lakefolio", obj=App(own_process=True))
    raise AssertionError
