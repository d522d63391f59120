"""The program: its commands, loaded when they are run, and its exit codes."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

import click

from coresift._version import __version__
from coresift.cli.config import read_environment
from coresift.cli.options import DEBUG
from coresift.core.errors import CoresiftError

_COMMANDS = {
    "inspect": "What is in a dump, and what would stop a run.",
    "cluster": "Cluster the rows by k-means, or by levels of it.",
    "select": "Choose rows with one of the methods.",
    "bandit": "Choose rows by scores that a program of yours computes, for few of them.",
    "evaluate": "How well a subset stands for the whole.",
    "compare": "Methods side by side: the same sizes, over seeds, by every metric.",
    "report": "Pictures of a clustering, a selection or a comparison.",
    "weights": "Carry weights that were learned on a subset to all rows.",
    "gradients": "Write the gradient of a model's loss for each row.",
    "run": "Run the steps of a recipe, and none whose result is there.",
    "methods": "The selection methods, their papers and needs.",
    "replay": "Run again from a result's provenance, and compare.",
    "doctor": "What will be used on this machine, and what is missing.",
    "demo": "The main job on real bundled data.",
    "completion": "Print a script that lets the shell complete commands.",
}

# set by the script of `coresift completion`, when the shell asks
_COMPLETE = "_CORESIFT_COMPLETE"

INTERRUPTED, TERMINATED, FAILED = 130, 143, 1


class Terminated(BaseException):
    """The process was asked to end; unwinding removes what is half-written."""


class Commands(click.Group):
    """Commands that are imported when they are run."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names in the order of the work."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"coresift.cli.commands.{cmd_name}")
        command: click.Command = module.command
        return read_environment(command, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="coresift")
def cli() -> None:
    """Cluster embeddings and choose the rows that matter.

    Reads Parquet dumps of embeddings larger than memory; the same input, seed and version
    give the same rows everywhere.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program and exit."""
    if _COMPLETE in os.environ:
        from click.shell_completion import shell_complete

        sys.exit(shell_complete(cli, {}, "coresift", _COMPLETE, os.environ[_COMPLETE]))
    # until a command begins its work there is no garbage, and looking for it takes time
    gc.disable()
    from coresift.cli import console

    signal.signal(signal.SIGTERM, _terminate)
    console.show_logged_warnings()
    code = run(sys.argv[1:] if arguments is None else list(arguments))
    # Python would look for what it can free, which takes longer than the rest of the end
    gc.freeze()
    sys.exit(code)


def completion_script(shell: str) -> str:
    """What lets a shell complete commands: ``bash``, ``zsh`` or ``fish``."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    return found(cli, {}, "coresift", _COMPLETE).source()


def run(arguments: list[str]) -> int:
    """Run the program and return its exit code."""
    from coresift.cli import console

    meta: dict[str, object] = {}
    try:
        with cli.make_context("coresift", arguments) as context:
            meta = context.meta
            cli.invoke(context)
    except click.exceptions.Exit as finished:
        return finished.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except Terminated:
        return TERMINATED
    except CoresiftError as error:
        if meta.get(DEBUG):
            raise
        console.show_error(error)
        return FAILED
    except BrokenPipeError:
        # whoever read stdout has gone: say no more, not even when Python flushes it
        console.forget_stdout()
        return FAILED
    except MemoryError:
        if meta.get(DEBUG):
            raise
        console.show_failure("out of memory; give a smaller --memory")
        return FAILED
    except Exception as error:
        if meta.get(DEBUG):
            raise
        console.show_failure(
            f"unexpected {type(error).__name__}: {error} (a defect; --debug shows where)"
        )
        return FAILED
    return 0


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated
