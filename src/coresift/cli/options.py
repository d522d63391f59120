"""The options that commands share."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from coresift.cli.config import read_config
from coresift.cli.types import COLUMN, COLUMNS, PLACE, READ, WRITTEN, Number, NumberOrWord, PathText
from coresift.selection.option import Option

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Decorator = Callable[[Decorated], Decorated]

INPUT = ("embedding", "embedding_dtype", "vectors", "dtype", "dim", "where", "metric", "invalid")
RUN = (
    *("seed", "memory", "threads", "device", "engine", "ray_address", "cpus_per_worker"),
    *("gpus_per_worker", "scratch", "batch_rows"),
)
DEBUG = "coresift.debug"
# keywords that a recipe lends to the command of a step
LENT = "coresift.lent"
_NUMBERS = ["float16", "float32", "float64", "int8"]


def _stack(*decorators: Callable[..., Any]) -> Callable[..., Any]:
    def decorate(function: Any) -> Any:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def _remember_debug(context: click.Context, _: click.Parameter, value: bool) -> None:
    context.meta[DEBUG] = value


paths = click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=READ)

vector_file_options = _stack(
    click.option(
        "--vectors",
        multiple=True,
        type=READ,
        metavar="PATH",
        help="Take the vectors from .npy files (or raw ones, with --dtype and --dim) whose rows "
        "are those of the PATHs, in order.",
    ),
    click.option(
        "--dtype", type=click.Choice(_NUMBERS), help="Number type of raw --vectors files."
    ),
    click.option("--dim", type=click.IntRange(min=1), help="Dimensions of raw --vectors files."),
)

input_options = _stack(
    click.option(
        "--embedding",
        metavar="NAME",
        help="Vector column, or a pattern of number columns such as 'x_*'. Default: the only one.",
    ),
    click.option(
        "--embedding-dtype",
        type=click.Choice(_NUMBERS),
        help="Number type of a fixed-size binary vector column.",
    ),
    vector_file_options,
    click.option(
        "--where",
        type=COLUMN,
        metavar="EXPR",
        help='Keep only matching rows, for example "label == 3 and score > 0.5".',
    ),
    click.option(
        "--metric",
        type=click.Choice(["l2", "cosine"]),
        help="Distance; cosine scales vectors to norm 1.  [default: l2]",
    ),
    click.option(
        "--invalid",
        type=click.Choice(["error", "drop"]),
        help="What to do with rows whose vector is null, of another length or not finite.  "
        "[default: error]",
    ),
)

resource_options = _stack(
    click.option(
        "--memory",
        metavar="SIZE",
        help="Memory that the process may take, for example 8GB.  [default: 70% of what is free]",
    ),
    click.option(
        "--threads", type=click.IntRange(min=1), help="Threads.  [default: all processors]"
    ),
    click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        help="Where to compute; auto uses a GPU when one works.  [default: auto]",
    ),
    click.option(
        "--engine",
        type=click.Choice(["local", "ray"]),
        help="What runs it: threads here, or the workers of a Ray cluster.  [default: local]",
    ),
    click.option(
        "--ray-address",
        metavar="ADDR",
        help="Ray cluster for --engine ray: HOST:PORT of its head; auto, the one that this machine "
        "is part of; or local, one on this machine that ends with the run.  [default: auto]",
    ),
    click.option(
        "--cpus-per-worker",
        type=click.IntRange(min=1),
        help="Threads of each worker of --engine ray.  [default: 4]",
    ),
    click.option(
        "--gpus-per-worker",
        type=click.FloatRange(min=0),
        help="GPUs that each worker of --engine ray is given.  [default: 0]",
    ),
    click.option(
        "--scratch",
        type=PLACE,
        metavar="DIR",
        help="Folder for files that do not fit in memory.  [default: the system's]",
    ),
    click.option(
        "--batch-rows",
        type=click.IntRange(min=1),
        help="Rows read at a time; results do not depend on it.  [default: by their width]",
    ),
)

run_options = _stack(
    click.option("--seed", type=int, help="Seed of all randomness.  [default: 0]"),
    resource_options,
)

show_options = _stack(
    click.option(
        "--config",
        type=READ,
        metavar="FILE",
        is_eager=True,
        expose_value=False,
        callback=read_config,
        help="Take options from a TOML file; the command line and the environment come first.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout."),
    click.option("-q", "--quiet", is_flag=True, help="Show no progress."),
    click.option("--no-progress", is_flag=True, help="Show no progress."),
    click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=_remember_debug,
        help="Show the traceback of an error.",
    ),
)


def output_option(what: str) -> Callable[..., Any]:
    """``-o`` and ``--overwrite``."""
    return _stack(
        click.option("-o", "--output", required=True, type=WRITTEN, metavar="OUT", help=what),
        click.option("--overwrite", is_flag=True, help="Replace an earlier result."),
    )


def _no_output(context: click.Context, _: click.Parameter, value: bool) -> bool:
    """A plan writes nothing, so ``-o`` may be left out."""
    if value:
        for option in context.command.params:
            if option.name == "output":
                option.required = False
    return value


plan_options = _stack(
    click.option(
        "--plan",
        is_flag=True,
        is_eager=True,
        callback=_no_output,
        help="Print what the run would take (passes, bytes read, memory, disk, seconds, and the "
        "same for 10^9 rows), measured on a sample, and do nothing.",
    ),
    click.option(
        "--machines",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="With --plan: machines like this one, for the estimate at 10^9 rows.",
    ),
)


keep_scratch_option = click.option(
    "--keep-scratch",
    is_flag=True,
    help="Leave the decoded vectors in --scratch, for the next command on this dump with this "
    "option.",
)
resume_option = click.option(
    "--resume",
    is_flag=True,
    help="Go on from where the same command was interrupted. What that takes is kept in --scratch "
    "until it is done.",
)
label_option = click.option(
    "--label",
    type=COLUMN,
    metavar="COLUMN",
    help="Class of each row: adds class balance and a probe.",
)
near_option = click.option(
    "--near",
    type=float,
    metavar="DISTANCE",
    help="Largest distance of rows that duplicates_near counts.  [default: a tenth of the median]",
)
sample_option = click.option(
    "--sample",
    type=click.IntRange(min=1),
    metavar="ROWS",
    help="Measure coverage on this many rows.  [default: all]",
)
columns_option = click.option(
    "--columns", type=COLUMNS, metavar="A,B", help="Input columns to write.  [default: all]"
)
prefix_option = click.option(
    "--prefix",
    default="",
    metavar="TEXT",
    help="Put before the names of the added columns, where they clash with the input's.",
)


def repeats_option(what: str) -> Callable[..., Any]:
    """How many uniform subsets a value stands beside."""
    return click.option(
        "--repeats", type=click.IntRange(min=1), default=5, show_default=True, help=what
    )


def declared(option: Option, *, required: bool = False) -> Any:
    """An option that the params of a method declare."""
    names = [option.flag, option.field]
    if option.kind == "flag":
        return click.option(*names, is_flag=True, help=option.help)
    if option.choices:
        return click.option(
            *names,
            type=click.Choice(option.choices),
            default=option.default,
            show_default=option.default is not None,
            help=option.help,
        )
    return click.option(
        *names,
        type=_type(option),
        multiple=option.kind in ("texts", "sources", "paths"),
        default=option.default,
        show_default=option.default is not None,
        required=required,
        metavar=option.metavar,
        help=option.help,
    )


def _type(option: Option) -> Any:
    if option.kind == "number":
        if option.words:
            return NumberOrWord(option.minimum, option.maximum, option.words)
        return Number(option.minimum, option.maximum)
    if option.words:
        return PathText(words=option.words)
    kinds = {"path": READ, "paths": READ, "output": WRITTEN, "column": COLUMN}
    return kinds.get(option.kind, click.STRING)


def split_columns(text: str | None) -> list[str] | None:
    """Read ``a,b`` as a list."""
    if text is None:
        return None
    return [name.strip() for name in text.split(",") if name.strip()]


def common(values: dict[str, Any], *names: str) -> dict[str, Any]:
    """Take the options that were given out of ``values``, as keywords of a verb."""
    taken = {name: values.pop(name, None) for name in names}
    if taken.get("vectors") is not None:
        taken["vectors"] = list(taken["vectors"]) or None
    return {name: value for name, value in taken.items() if value is not None}


@contextmanager
def watched(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Keywords that let a verb report to whoever is watching: a terminal, or a recipe."""
    from coresift.cli import console

    if not gc.isenabled():
        # what was imported stays, and need not be gone through when garbage is collected; before a
        # recipe's first step only, since frozen garbage of its earlier ones would never be freed
        gc.freeze()
        gc.enable()
    lent = click.get_current_context().meta.get(LENT, {})
    shown = console.shows_progress(values)
    values.pop("quiet")
    values.pop("no_progress")
    if not shown:
        yield lent
        return
    with console.TerminalProgress() as progress:
        yield {**lent, "progress": progress}
