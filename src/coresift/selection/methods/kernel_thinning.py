"""Kernel thinning: halving all rows again and again, so that each half resembles the other.

Dwivedi and Mackey, "Kernel Thinning", JMLR 25, 2024 (COLT 2021) and "Generalized Kernel
Thinning", ICLR 2022; in near-linear time by Compress++: Shetty, Dwivedi and Mackey, "Distribution
Compression in Near-Linear Time", ICLR 2022.

The papers thin N points of equal weight to N / 2^m. Here a pool becomes a sequence of n 2^m >= N
points by systematic sampling: a row stands there as often as its mass demands, rounded up or down
by a draw, which leaves N = n 2^m rows of equal mass as they are. Rows that are left more than
once are exchanged by KT-SWAP. More than 512 rows are chosen part by part of the pool.
"""

from __future__ import annotations

import numpy as np

from coresift.core import randomness
from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.engine.base import Engine
from coresift.engine.serial import SerialEngine
from coresift.io.vectors import Vectors
from coresift.selection.base import Context, Data
from coresift.selection.kernel.embedding import similarity
from coresift.selection.kernel.halving import Places, Values
from coresift.selection.kernel.kernels import Kernel, Pooled, Rows, find_kernel
from coresift.selection.kernel.swapping import PASSES, Columns, objectives, ordered, refined
from coresift.selection.kernel.thinning import Sequence, most_levels, systematic, thinned
from coresift.selection.params.kernel_thinning import KernelThinningParams
from coresift.selection.pools.pool import Picked, Pool, select_from_pools

_POOL_ROWS = 65_536
# most rows that are chosen together
_PART = 512
# points that Compress leaves unless --compress says otherwise; it is not worth it for twice as many
_LEFT = 2_048
# a row's copies have coins of their own: ids are below this
_COPY = 40


def select(
    data: Data, size: Size | None, params: KernelThinningParams, context: Context
) -> Selection:
    """Choose rows that have the mean of all rows, as a kernel sees them.

    ``weight`` is the same for all rows of a pool. ``rank`` is an order by herding among those
    chosen: the first of them stand for all rows too. Given rows are thinned like all others, and
    those chosen then exchanged so that they and the given ones together stand for all.
    """
    thinning = _Thinning(params, context.seed)
    whole = params.compress == "off"
    return select_from_pools(
        data,
        size,
        params,
        context,
        thinning.pick,
        method="kernel-thinning",
        pool_rows=_POOL_ROWS,
        # without Compress the points of the first halving in float64, up to twice as many, and the
        # similarities to the rows that are chosen
        row_bytes=16 * data.dim + 8 * _PART if whole else 256,
        fit=thinning.fit,
    )


class _Thinning:
    """The method on a pool, once it knows the kernel."""

    def __init__(self, params: KernelThinningParams, seed: int) -> None:
        self._params = params
        self._seed = seed
        self._kernel: Kernel
        self._split_kernel: Kernel
        self._count = 0

    def fit(self, points: Vectors) -> dict[str, float | int | str]:
        """Find the bandwidth, and the kernel to split by."""
        kernel = self._kernel = self._split_kernel = find_kernel(self._params, points, self._seed)
        if self._params.variant == "power":
            self._split_kernel = kernel.power(points.dim)
        elif self._params.variant == "plus":
            self._split_kernel = kernel.plus(points.dim)
        self._count = points.count
        return {"bandwidth": kernel.parts[0][1]}

    def pick(self, pool: Pool, n: int, engine: Engine) -> Picked:
        """Thin each part of the pool; the same weight to all."""
        rows = Pooled.of(pool.vectors)
        given = Rows.of(pool.given, rows.center)
        parts = _parts(pool.mass, n)

        def task(part: tuple[int, int, int]) -> Places:
            return self._part(pool, rows, given, part, SerialEngine())

        if len(parts) == 1:
            found = [self._part(pool, rows, given, parts[0], engine)]
        else:
            found = list(engine.map(task, parts))
        # the first of each part come first
        turn = np.concatenate([(np.arange(len(some)) + 0.5) / len(some) for some in found])
        places = np.concatenate(found)[np.argsort(turn, kind="stable")]
        share = self._share(pool.mass, given)
        weight = share * self._count / (n + share * len(given))
        start, stop, size = parts[0]
        rounds, levels = self._rounds(stop - start, size)
        resolved: dict[str, float | int | str] = {"oversampling": rounds - levels}
        return Picked(places, None, np.full(n, weight), resolved=resolved)

    def _share(self, mass: Values, given: Rows) -> float:
        """Share of all rows that some masses are; given rows count for as much of a row each."""
        return float(mass.sum()) / (self._count - len(given))

    def _rounds(self, count: int, n: int) -> tuple[int, int]:
        """How often ``count`` rows are halved for ``n``, and how often of these by Compress."""
        rounds = (-(-count // n) - 1).bit_length()
        over = self._params.compress
        if over == "off" or (over == "auto" and n << rounds <= 2 * _LEFT):
            return rounds, 0
        kept = max(_LEFT // n, 4).bit_length() - 1 if isinstance(over, str) else int(over)
        return rounds, max(0, min(rounds - kept, most_levels(n, rounds)))

    def _part(
        self, pool: Pool, rows: Pooled, given: Rows, part: tuple[int, int, int], engine: Engine
    ) -> Places:
        """Places of the chosen ones in the pool, by rank."""
        start, stop, n = part
        rows, mass = rows[start:stop], pool.mass[start:stop]
        purpose = f"kernel-thinning/{len(pool)}"
        points, sets = self._thinned(rows, mass, pool.rows[start:stop], n, purpose, engine)
        candidates = np.unique(points)
        if len(candidates) < n:
            candidates = np.arange(len(rows))
        some = rows.take(candidates)
        share = self._share(mass, given)
        near = share * similarity(self._kernel, some, given, None, engine)
        mean = similarity(self._kernel, some, rows, mass, engine) + near
        terms = n + share * len(given)
        pull = mean * (terms / (share * self._count)) - near
        chosen = np.searchsorted(candidates, sets[0])
        if not self._params.no_swap:
            # beside the sets of KT-SPLIT, one that is spread evenly over the points
            plain = points[len(sets) - 1 :: len(sets)]
            every = np.searchsorted(candidates, np.concatenate([plain[None], sets]))
            chosen = every[int(objectives(self._kernel, some, pull, every).argmin())]
        columns = Columns(self._kernel, some)
        chosen = refined(columns, pull, chosen, terms, 0 if self._params.no_swap else PASSES)
        order = ordered(self._kernel, some.take(chosen), pull[chosen] / n)
        return start + candidates[chosen[order]]

    def _thinned(
        self, rows: Pooled, mass: Values, ids: Places, n: int, purpose: str, engine: Engine
    ) -> tuple[Places, Places]:
        """Rows that Compress leaves, in their order, and these split into sets of ``n``."""
        rounds, levels = self._rounds(len(rows), n)
        offset = float(randomness.uniform(self._seed, f"{purpose}/offset", ids[:1])[0])
        copies = systematic(mass, n << rounds, offset)
        places = np.repeat(np.arange(len(rows)), copies)
        copy = np.arange(len(places)) - np.repeat(np.cumsum(copies) - copies, copies)
        keys = ids[places] + (copy << _COPY)

        def coins(stage: str, points: Places) -> Values:
            drawn = randomness.uniform(self._seed, f"{purpose}/{stage}", keys[points].ravel())
            return drawn.reshape(points.shape)

        sequence = Sequence(self._split_kernel, rows, places, coins)
        points, sets = thinned(sequence, rounds, levels, engine)
        return places[points], places[sets]


def _parts(mass: Values, n: int) -> list[tuple[int, int, int]]:
    """Cut a pool into runs of rows (start, stop), and the size among them by their mass."""
    count = -(-n // _PART)
    sizes = [n * (i + 1) // count - n * i // count for i in range(count)]
    ends = np.cumsum(mass)
    parts = []
    start = chosen = 0
    for size in sizes:
        chosen += size
        stop = int(np.searchsorted(ends, ends[-1] * chosen / n * (1 - 1e-12))) + 1
        # enough rows here, and for those that follow
        stop = max(start + size, min(stop, len(mass) - (n - chosen)))
        stop = len(mass) if chosen == n else stop
        parts.append((start, stop, size))
        start = stop
    return parts
