"""What people see: tables on stdout; progress, notes and errors on stderr."""

from __future__ import annotations

import io
import json
import os
import shlex
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from coresift.core.errors import CoresiftError, OutputError
from coresift.core.progress import Silent, Stage
from coresift.core.size import format_bytes

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from coresift.reporting.content import Content

_PATIENCE_S = 1.0


_receiver: ContextVar[list[object] | None] = ContextVar("receiver", default=None)


@contextmanager
def handed_over() -> Iterator[list[object]]:
    """Collect what commands would print as JSON, instead of printing it."""
    received: list[object] = []
    token = _receiver.set(received)
    try:
        yield received
    finally:
        _receiver.reset(token)


def show_json(value: object) -> None:
    """Print one JSON value on stdout, and nothing else; or hand it over."""
    received = _receiver.get()
    if received is not None:
        received.append(value)
        return
    show_text(json.dumps(value))


def show_facts(facts: Mapping[str, object], notes: Sequence[str] = ()) -> None:
    """Print names and values in two columns, then notes."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ignore")
    for name, value in facts.items():
        table.add_row(name, format_value(value))
    for note in notes:
        table.add_row("note", note)
    _print(table)


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table with a heading; numbers to the right."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for index, name in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(format_value(value) for value in row))
    _print(table)


def measured(facts: Mapping[str, Any]) -> dict[str, object]:
    """Time, memory and place of a run, for people."""
    stages = [f"{name} {seconds:.2f}" for name, seconds in facts["seconds"].items()]
    return {
        "seconds": ", ".join(stages),
        "peak memory": format_bytes(facts["peak_rss_bytes"]),
        "output": facts["output"],
    }


def show_evaluation(facts: Mapping[str, Any]) -> None:
    """Print what ``evaluate`` measured."""
    show_facts({"rows": f"{facts['rows_subset']:,} of {facts['rows_full']:,}"})
    show_metrics(facts["metrics"])
    if facts["coreset"] is not None:
        found = facts["coreset"]
        kinds = {f"worst at {kind}": f"{value:+.3g}" for kind, value in found["worst"].items()}
        show_facts({"center sets": found["center_sets"], "k": found["k"], **kinds})
    if facts["influence"] is not None:
        told = facts["influence"]
        predicted = told["predicted_change"]
        show_facts(
            {
                "loss of the target": f"{told['loss']:.4g}, {told['loss_without']:.4g} without "
                f"{told['removed']:,} rows",
                "predicted change": "no scores" if predicted is None else f"{predicted:+.3g}",
                "actual change": f"{told['actual_change']:+.3g}",
            }
        )
    show_facts({}, facts.get("notes", ()))


def show_metrics(metrics: Mapping[str, Any]) -> None:
    """Print each metric beside its spread over uniform subsets."""
    rows = []
    for name, metric in metrics.items():
        spread = f"{metric['random']:.4g}"
        if metric["random_std"] is not None:
            spread += f" \u00b1 {metric['random_std']:.2g}"
        rows.append([name, f"{metric['value']:.4g}", spread, metric["better"]])
    show_table(["metric", "subset", "uniform", "better"], rows)


def show_report(content: Content) -> None:
    """Draw a report's map in characters, then the sizes of clusters and the metrics."""
    from rich.text import Text

    from coresift.reporting.terminal import bars, plot

    drawn, layout = content.drawn, content.layouts[-1]
    rows = f"{drawn.all_rows:,} rows"
    if content.is_selection:
        rows = f"{drawn.all_chosen:,} of {rows}, {content.provenance.method}"
    picture = Text(f"{content.name}: {rows}\n")
    for line in plot(layout, drawn.chosen):
        for piece, marked in line:
            picture.append(piece, "bold red" if marked else "dim" if content.is_selection else "")
        picture.append("\n")
    picture.append(f"{layout.name}, {layout.axes[0]}; selected rows in red\n\n", "dim")
    order = (-content.clusters.size).argsort(kind="stable")
    picture.append(f"cluster sizes  {bars(content.clusters.size[order])}\n")
    if content.clusters.chosen is not None:
        picture.append("selected rows  ")
        picture.append(bars(content.clusters.chosen[order]) + "\n", "red")
    _print(picture)
    if content.metrics:
        show_metrics({name: asdict(metric) for name, metric in content.metrics.items()})


def show_plan(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what a run would take."""
    if as_json:
        show_json(facts)
        return
    show_facts({"plan": f"{facts['command']} {facts['method']}", "rows": facts["rows"]})
    rows = [
        [
            stage["name"],
            f"{stage['passes']:.3g}",
            format_bytes(stage["bytes_read"]),
            stage["seconds"],
        ]
        for stage in facts["stages"]
    ]
    show_table(["stage", "passes", "read from files", "seconds"], rows)
    scale = facts["at_scale"]
    place = "in memory" if facts["in_memory"] else "in a scratch file"
    machines = "machine" if scale["machines"] == 1 else "machines"
    show_facts(
        {
            "seconds": facts["seconds"],
            "peak memory": f"{format_bytes(facts['peak_memory_bytes'])} of a budget of "
            f"{format_bytes(facts['memory_budget_bytes'])}, vectors {place}",
            "scratch": format_bytes(facts["scratch_bytes"]),
            "output": format_bytes(facts["output_bytes"]),
            "at 10^9 rows": f"{scale['machines']:,} {machines}: {scale['seconds']:,.0f} s, "
            f"{format_bytes(scale['memory_bytes'])} of memory and "
            f"{format_bytes(scale['scratch_bytes'])} of scratch each",
        },
        facts["notes"],
    )


def show_step(name: str, arguments: Sequence[str]) -> None:
    """Tell whoever watches which step of a recipe is running."""
    sys.stderr.write(f"{name}: coresift {shlex.join(arguments)}\n")


def show_recipe(facts: Mapping[str, Any]) -> None:
    """Print what became of the steps of a recipe."""
    dry = facts["dry_run"]
    rows = [
        [step["name"], step["state"], step["reason"]]
        + ([] if dry else [f"{step['seconds']:.2f}"])
        + [step["output"]]
        for step in facts["steps"]
    ]
    seconds = [] if dry else ["seconds"]
    show_table(["step", "state", "why", *seconds, "output"], rows)
    for step in facts["steps"]:
        if step["state"] == "would run":
            show_text(f"{step['name']}: {shlex.join(step['command'])}")
        if step["state"] == "ran":
            show_facts({}, [f"{step['name']}: {note}" for note in step["summary"].get("notes", ())])


def show_text(text: str) -> None:
    """Print text on stdout as it is.

    Raises
    ------
    OutputError
        When the disk behind stdout is full: here, not when Python ends.
    """
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        forget_stdout()
        raise OutputError(f"stdout: cannot be written: {error.strerror}") from error


def forget_stdout() -> None:
    """Send what is left in stdout nowhere, so that Python does not try it again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print(table: object) -> None:
    from rich.console import Console

    if sys.stdout.isatty():
        Console(highlight=False, markup=False).print(table)
        return
    # a pipe has no width: nothing may be cut off, and nothing is padded
    text = io.StringIO()
    Console(file=text, width=10_000, highlight=False, markup=False).print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    if lines:
        show_text("\n".join(lines))


def format_value(value: object) -> str:
    """Write a value for a person."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return str(value)


def show_error(error: CoresiftError) -> None:
    """Print an error and its hint, one line each."""
    _complain("error", error.message)
    if error.hint:
        _complain("hint", error.hint)


def show_failure(text: str) -> None:
    """Print what is not the user's fault."""
    _complain("error", text)


def show_warning(text: str) -> None:
    """Print a warning."""
    _complain("warning", text)


def show_logged_warnings() -> None:
    """Print what coresift logs as warnings from here on."""
    import logging

    class Shown(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            show_warning(record.getMessage())

    logger = logging.getLogger("coresift")
    logger.addHandler(Shown(logging.WARNING))
    logger.propagate = False


def _complain(kind: str, text: str) -> None:
    line = " ".join(text.split())
    sys.stderr.write(f"{kind}: {line}\n")


class TerminalProgress:
    """Progress bars on a terminal, once a run has taken over a second.

    A timer shows the stage under way, which need not have advanced yet.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._timer = threading.Timer(_PATIENCE_S, self._begin)
        self._timer.daemon = True
        self._stages: list[_Bar] = []
        self._bars: Progress | None = None
        self._ended = False

    @contextmanager
    def stage(self, name: str, rows: int) -> Iterator[Stage]:
        """Open a stage that will pass over ``rows`` rows."""
        stage = _Bar(name, rows)
        with self._lock:
            self._stages.append(stage)
            if self._bars is not None:
                stage.show(self._bars)
        try:
            yield stage
        finally:
            with self._lock:
                self._stages.remove(stage)
                stage.hide()

    def _begin(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        with self._lock:
            if self._ended:
                return
            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed:,.0f} of {task.total:,.0f} rows"),
                TextColumn("{task.fields[pace]}"),
                console=Console(file=sys.stderr),
                transient=True,
            )
            for stage in self._stages:
                stage.show(self._bars)
            self._bars.start()

    def __reduce__(self) -> tuple[type[Silent], tuple[()]]:
        """In another process nobody watches."""
        return Silent, ()

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        with self._lock:
            self._ended = True
            if self._bars is not None:
                self._bars.stop()


class _Bar:
    def __init__(self, name: str, rows: int) -> None:
        self._name = name
        self._rows = rows
        self._done = 0
        self._start = time.monotonic()
        self._shown: tuple[Progress, TaskID] | None = None

    def advance(self, rows: int) -> None:
        self._done += rows
        if self._shown is not None:
            bars, task = self._shown
            bars.update(task, completed=self._done, pace=self._pace())

    def show(self, bars: Progress) -> None:
        task = bars.add_task(self._name, total=self._rows, completed=self._done, pace=self._pace())
        self._shown = bars, task

    def hide(self) -> None:
        if self._shown is not None:
            bars, task = self._shown
            bars.remove_task(task)

    def _pace(self) -> str:
        """Rate and time left, as far as they are known."""
        spent = time.monotonic() - self._start
        if not self._done or spent <= 0.0:
            return ""
        rate = self._done / spent
        minutes, seconds = divmod(round(max(0, self._rows - self._done) / rate), 60)
        return f"{rate:,.0f} rows/s {minutes}:{seconds:02d} left"


def shows_progress(options: Mapping[str, Any]) -> bool:
    """Whether a run with these options has someone watching."""
    return sys.stderr.isatty() and not options["quiet"] and not options["no_progress"]
