"""How commands end: a mistake is one line, Ctrl-C is no traceback."""

from __future__ import annotations

import contextlib
import errno
import sys

import click

from bench.errors import UserError, choose

INTERRUPTED = 130  # exit status: as a shell says of what Ctrl-C ended


class Group(click.Group):
    """Shows a UserError as one line, suggests similar commands, and ends on Ctrl-C without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except UserError as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt as stop:
            click.echo(f"\nStopped{'; ' if str(stop) else ''}{stop}", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None
        except OSError as error:
            raise click.ClickException(_explained(error)) from error

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-"):
            try:
                choose("command", args[0], self.list_commands(ctx))
            except UserError as error:
                raise click.UsageError(str(error), ctx) from error
        return super().resolve_command(ctx, args)


def _explained(error: OSError) -> str:
    """Describe an OSError of a file or of printing in one line. A broken pipe is raised again: its reader has closed it."""
    if error.errno == errno.EPIPE:
        raise error
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}; change the permissions or choose another path"
    with contextlib.suppress(OSError):
        sys.stdout.close()  # else what could not be printed is tried again at the end
    return f"{error.strerror or error}; what was measured is kept. If printing failed, redirect the output elsewhere"
