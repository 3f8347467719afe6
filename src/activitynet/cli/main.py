"""The `activitynet` command: its subcommands and exit codes."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from activitynet import __version__
from activitynet.cli.data import audit, doctor, sample_data
from activitynet.cli.demo import demo
from activitynet.cli.evaluate import calibrate, compare, evaluate, explain
from activitynet.cli.models import ensemble, export, models, pull, push, soup, weights
from activitynet.cli.options import logging_to_stderr
from activitynet.cli.predict import predict
from activitynet.cli.study import study
from activitynet.cli.train import distill, lr_find, recipes, training_command
from activitynet.errors import ActivityNetError, printable

BAD_INPUT = 2
CRASHED = 70  # EX_SOFTWARE of sysexits.h
INTERRUPTED = 128 + signal.SIGINT
READER_GONE = 128 + 13  # SIGPIPE, which not every system names

command_line = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@command_line.callback(invoke_without_command=True)
def _activitynet(
    context: typer.Context,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Classify what a person does in a still photo."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


command_line.command("train", help="Train a network on a folder of labelled photos.")(training_command("fit"))
command_line.command(
    "fine-tune", help="Adapt a pretrained network: fit its head, then train the upper layers at a low rate."
)(training_command("fine_tune"))
command_line.command("lr-find")(lr_find)
command_line.command("recipes")(recipes)
command_line.command("audit")(audit)
command_line.command("evaluate")(evaluate)
command_line.command("compare")(compare)
command_line.command("calibrate")(calibrate)
command_line.command("ensemble")(ensemble)
command_line.command("soup")(soup)
command_line.command("distill")(distill)
command_line.command("study")(study)
command_line.command("predict")(predict)
command_line.command("explain")(explain)
command_line.command("demo")(demo)
command_line.command("export")(export)
command_line.command("models")(models)
command_line.command("push")(push)
command_line.command("pull")(pull)
command_line.command("weights")(weights)
command_line.command("sample-data")(sample_data)
command_line.command("doctor")(doctor)


def run(arguments: Sequence[str]) -> int:  # noqa: PLR0911  one return an exit code
    """Run the command.

    Args:
        arguments: The arguments after `activitynet` on the command line.

    Returns:
        The exit code: 0 for success; 1 if a photo could not be read, or something was found; 2 for wrong
        input, with one line on stderr; 70 for a bug, with its traceback; 130 after Ctrl-C; 141 if the reader
        of the output has gone; 143 after SIGTERM.
    """
    command = typer.main.get_command(command_line)
    try:
        with logging_to_stderr(), command.make_context("activitynet", list(arguments)) as context:
            code = command.invoke(context)
        sys.stdout.flush()  # here, so that a reader that has gone is noticed
    except typer.Exit as end:
        return end.exit_code
    except ActivityNetError as error:
        _print_error(str(error))
        return BAD_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # What is still buffered would raise once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except Exception as error:
        # Usage errors are click's; typer's releases name its module differently.
        if not hasattr(error, "format_message"):
            traceback.print_exc()
            return CRASHED
        where = getattr(error, "ctx", None)
        hint = f" See '{where.command_path} --help'." if where is not None else ""
        _print_error(error.format_message().rstrip(".") + "." + hint)
        return BAD_INPUT
    return code if isinstance(code, int) else 0


def _print_error(message: str) -> None:
    lines = [printable(line) for line in message.splitlines()]
    print("error: " + "\n".join(lines), file=sys.stderr)


def main() -> None:
    """Run the command with the arguments of this process, and exit."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(run(sys.argv[1:]))
