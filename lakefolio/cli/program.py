"""The command line as a whole: it finds a command, runs it, and says in its words what went wrong."""

from __future__ import annotations

import errno
import importlib
import io
import keyword
import os
import sys
import warnings
from contextlib import suppress
from typing import Any, Final, NoReturn

import click
from click.shell_completion import CompletionItem

from lakefolio import __version__
from lakefolio.cli.app import SETTINGS, App, Shared, UnknownCommand, shared_options
from lakefolio.cli.command_list import COMMANDS, DECLINED, EXIT_CODES, GROUPS
from lakefolio.cli.output import Output
from lakefolio.errors import LakefolioError
from lakefolio.process.notice import LakefolioWarning

__all__ = ["cli", "main"]

_HINTS: Final = {
    "item-exists": "choose another name, or give --overwrite; the old entry stays in the history",
    "words-dropped": "--keep carries them over; lakefolio history shows the version that still has them",
    "read-only-version": "leave --at out; lakefolio restore brings the past back",
}
"""What to do in the words of the command line, where the library speaks of Python."""

_OUTPUT_ERRORS: Final = (errno.EPIPE, errno.ENOSPC, errno.EBADF, errno.EIO, errno.EDQUOT, errno.EFBIG)


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

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the names of commands without importing any."""
        named = [CompletionItem(name, help=line) for name, line in COMMANDS.items() if name.startswith(incomplete)]
        return [*named, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write an example and the exit codes."""
        with formatter.section("Example"):
            formatter.write_text("lakefolio demo --lake ./lake")
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in EXIT_CODES.items()])

    def invoke(self, ctx: click.Context) -> object:
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
        """Return the commands that read, or bring back, an item that is elsewhere in time, or under another name."""
        came, gone = exc.objects.get("came_at"), exc.objects.get("deleted_at")
        if not (isinstance(came, int) or isinstance(gone, int)) or exc.objects.get("input"):
            return None
        ref = f"{exc.objects.get('folio')}:{exc.objects.get('item')}"
        if isinstance(came, int):
            return f"read it: {app.line('get', f'{ref}@{came}')}"
        last = gone - 1 if isinstance(gone, int) else 0
        if new := exc.objects.get("renamed_to"):
            return f"read that: {app.line('get', str(new))}; or what it was: {app.line('get', f'{ref}@{last}')}"
        read, restore = app.line("get", f"{ref}@{last}"), app.line("restore", str(last), "--item", ref)
        return f"read it: {read}; or restore it: {restore}"

    def main(self, args: Any = None, *more: object, standalone_mode: bool = True, **kwargs: object) -> Any:
        """Run, and say what was wrong with the usage in the same form as other errors."""
        # what is wrong with the usage may be found before --json is
        output = Output("--json" in (sys.argv if args is None else args))
        try:
            code: object = super().main(args, *more, standalone_mode=False, **kwargs)  # type: ignore[call-overload]
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


def _usage_failed(exc: click.UsageError, output: Output) -> None:
    if type(exc).__name__ == "NoArgsIsHelpError":  # newer versions of click tell the help so
        click.echo(exc.format_message(), err=True)
        return
    ctx = exc.ctx
    message = exc.format_message().rstrip(".")
    path = ctx.command_path if ctx is not None else "lakefolio"
    example = getattr(ctx and ctx.command, "example", "").partition("\n")[0]
    hint = getattr(exc, "hint", None) or (f"such as {example} (see {path} --help)" if example else f"see {path} --help")
    output.fail(message[:1].lower() + message[1:], kind="usage", hint=hint, exit_code=2)


@click.group(cls=Commands, context_settings=SETTINGS, no_args_is_help=True)
@shared_options
@click.version_option(__version__, prog_name="lakefolio", message="%(prog)s %(version)s")
def cli() -> None:
    """Versioned data on a bare bucket: the bucket is the database.

    An item is named [FOLIO:]NAME[@VERSION-OR-SNAPSHOT]. The options --lake, --at and --json may stand before or after
    the command. Results go to stdout, everything else to stderr. lakefolio help lists the pages of the documentation.
    """


class _Closed(io.TextIOBase):
    """Stands for a stdout that was closed before we began: a result that nobody gets is an error."""

    def write(self, text: object) -> int:
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


def main() -> NoReturn:
    """Run the command line; never returns."""
    _complete_streams()
    for stream in (sys.stdout, sys.stderr):  # a terminal that knows no UTF-8 must not stop a command
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    if "_LAKEFOLIO_COMPLETE" in os.environ:
        from lakefolio.cli.shells import teach_shells

        teach_shells()
    cli(prog_name="lakefolio", obj=App(own_process=True))
    raise AssertionError
