"""A plan: the stages of a run, and how each grows with rows and machines."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

SCALE_ROWS = 1_000_000_000
# between machines, assumed: 10 Gbit/s
NETWORK_BYTES_S = 1.25e9

Growth = Literal["rows", "pairs", "fixed"]


@dataclass(frozen=True)
class Stage:
    """A part of a run.

    Attributes
    ----------
    name : str
        What is done.
    passes : float
        How often the rows of the dump are read; a share where only some are.
    bytes_read : int
        From files: the dump, a clustering, or the scratch folder.
    seconds : float
        Estimate for this dump on this machine.
    growth : {"rows", "pairs", "fixed"}
        Whether the seconds grow with the rows, with their square, or not at all.
    reduced_bytes : int
        What each machine would send to the one that adds up, all passes together.
    """

    name: str
    passes: float
    bytes_read: int
    seconds: float
    growth: Growth = "rows"
    reduced_bytes: int = 0

    def at(self, rows: float, machines: int) -> float:
        """Seconds with ``rows`` times the rows, spread over some machines."""
        sent = self.reduced_bytes * machines / NETWORK_BYTES_S if machines > 1 else 0.0
        if self.growth == "fixed":
            return self.seconds + sent
        return self.seconds * (rows if self.growth == "rows" else rows * rows) / machines + sent


@dataclass(frozen=True)
class Held:
    """Whether vectors and what belongs to them are in memory.

    Attributes
    ----------
    bytes : int
        What the vectors take.
    row_bytes : float
        What else is held for each row.
    fixed_bytes : int
        What is held whatever the rows.
    budget : int
        ``--memory``.
    spare_row_bytes : int
        What is held too for each row, to be faster, where half of what is left is enough.
    """

    bytes: int
    row_bytes: float
    fixed_bytes: int
    budget: int
    spare_row_bytes: int = 0

    def resident(self, rows: int) -> bool:
        """Whether the vectors fit, beside what is held for ``rows`` rows."""
        return self.bytes + rows * self.row_bytes + self.fixed_bytes <= self.budget

    def peak(self, rows: int) -> int:
        """Estimate of the peak resident set."""
        held = rows * self.row_bytes + self.fixed_bytes
        held += self.bytes if self.resident(rows) else 0
        spare = rows * self.spare_row_bytes
        return min(int(held) + (spare if 2 * spare < self.budget - held else 0), self.budget)


@dataclass(frozen=True)
class Plan:
    """What a run would take.

    Attributes
    ----------
    command, method : str
        What would run.
    rows, dim : int
        Of the dump.
    stages : tuple of Stage
        In order.
    held : Held
        What memory it asks for.
    scratch_bytes, output_bytes : int
        Disk in the scratch folder, and of the result.
    pass_seconds : float
        What one pass over the vectors costs more when they are in a scratch file.
    machines : int
        How many, for the estimate at 10^9 rows.
    notes : tuple of str
        What was assumed.
    seconds_spent : float
        What the measuring took.
    """

    command: str
    method: str
    rows: int
    dim: int
    stages: tuple[Stage, ...]
    held: Held
    scratch_bytes: int
    output_bytes: int
    pass_seconds: float
    machines: int
    notes: tuple[str, ...]
    seconds_spent: float

    @property
    def seconds(self) -> float:
        """Estimate for this dump on this machine."""
        return sum(stage.seconds for stage in self.stages)

    def at_scale(self) -> dict[str, Any]:
        """10^9 rows like these, on machines like this one, each with its share of the rows."""
        ratio = SCALE_ROWS / self.rows
        share = ratio / self.machines
        rows = SCALE_ROWS // self.machines
        there = replace(self.held, bytes=int(self.held.bytes * share))
        resident = there.resident(rows)
        seconds = sum(stage.at(ratio, self.machines) for stage in self.stages)
        passes = sum(stage.passes for stage in self.stages if stage.name in FROM_VECTORS)
        was = self.held.resident(self.rows)
        # passes are dearer from a file, and cheaper from memory
        seconds += passes * self.pass_seconds * share * (int(was) - int(resident))
        return {
            "rows": SCALE_ROWS,
            "machines": self.machines,
            "seconds": round(seconds, 1),
            "memory_bytes": there.peak(rows),
            "scratch_bytes": 0 if resident else there.bytes,
            "output_bytes": int(self.output_bytes * ratio),
        }

    def to_json(self) -> dict[str, Any]:
        """Return what ``--plan --json`` prints."""
        return {
            "command": self.command,
            "method": self.method,
            "rows": self.rows,
            "dim": self.dim,
            "stages": [asdict(stage) for stage in self.stages],
            "seconds": round(self.seconds, 3),
            "peak_memory_bytes": self.held.peak(self.rows),
            "memory_budget_bytes": self.held.budget,
            "in_memory": self.held.resident(self.rows),
            "scratch_bytes": self.scratch_bytes,
            "output_bytes": self.output_bytes,
            "at_scale": self.at_scale(),
            "notes": list(self.notes),
            "seconds_spent": round(self.seconds_spent, 3),
        }


# stages that read decoded vectors, from memory or from the scratch file
FROM_VECTORS = ("seeding", "train", "resample", "assign", "lay out", "compare")
