"""Kernel thinning: the plain algorithm, its guarantees, its rate, sizes, masses and given rows."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coresift.core.errors import ParameterError
from coresift.engine.local import LocalEngine
from coresift.engine.serial import SerialEngine
from coresift.io.vectors import Vectors
from coresift.selection.kernel import halving, swapping
from coresift.selection.kernel.embedding import similarity
from coresift.selection.kernel.halving import halve, thresholds
from coresift.selection.kernel.kernels import Kernel, Pooled, Rows
from coresift.selection.kernel.swapping import Columns, objectives, ordered, refined
from coresift.selection.kernel.thinning import Sequence, most_levels, systematic, thinned
from coresift.selection.methods import kernel_thinning
from coresift.selection.params.kernel_thinning import KernelThinningParams
from coresift.selection.params.kernels import KERNELS
from coresift.selection.pools.pool import Pool
from coresift.selection.registry import METHODS
from tests.data import digits, digits_dump, vector_table, write_dump
from tests.selection.choosing import choose
from tests.selection.mmd import digits_kernel, digits_uniform, discrepancy, matrix
from tests.selection.saved import write_clustering

Values = NDArray[np.float64]
SERIAL = SerialEngine()


def pooled(vectors: NDArray[np.floating]) -> Pooled:
    return Pooled.of(vectors.astype(np.float32))


def rows_of(vectors: NDArray[np.floating]) -> Rows:
    return pooled(vectors).part(0, len(vectors))


def plain_split(kernel: Values, rounds: int, delta: float, coins: list[Values]) -> list[list[int]]:
    """KT-SPLIT as Algorithm 1a is printed: point by point, all levels as soon as they can."""
    n = len(kernel)
    sets = [[[0 for _ in range(0)] for _ in range(2**j)] for j in range(rounds + 1)]
    sigma = [np.zeros(2**j) for j in range(rounds)]
    for i in range(n):
        sets[0][0].append(i)
        for j in range(rounds):
            if (i + 1) % 2 ** (j + 1):
                break
            for index in range(2**j):
                parent = sets[j][index]
                child, other = sets[j + 1][2 * index], sets[j + 1][2 * index + 1]
                x, y = parent[-2], parent[-1]
                square = kernel[x, x] + kernel[y, y] - 2 * kernel[x, y]
                chance = delta / n * 2**j / rounds
                root = math.sqrt(sigma[j][index] * square * 2 * math.log(2 / chance))
                bar = max(root, square) or 1.0
                gain = 1 + (square - 2 * bar) * sigma[j][index] / bar**2
                sigma[j][index] += square * max(0.0, gain)
                before = parent[:-2]
                alpha = (kernel[before, x] - kernel[before, y]).sum()
                alpha -= 2 * (kernel[child, x] - kernel[child, y]).sum()
                # the sum over those left, less that over those kept: psi has the other sign
                first = coins[j][index, len(child)] <= min(1.0, max(0.0, 0.5 * (1 + alpha / bar)))
                child.append(x if first else y)
                other.append(y if first else x)
    return sets[rounds]


@pytest.mark.parametrize("name", KERNELS)
def test_split_as_the_plain_algorithm(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = digits()[0][:192]
    kernel = matrix(name, vectors, vectors, 2.0)
    drawn = {j: np.random.default_rng(j).random((2**j, 96 >> j)) for j in range(4)}
    expected = plain_split(kernel, 4, 0.5, list(drawn.values()))
    sequence = Sequence(
        Kernel(((name, 2.0),)),
        pooled(vectors),
        np.arange(192),
        lambda stage, points: drawn[int(stage.removeprefix("split/"))],
    )
    for engine in (SERIAL, LocalEngine(2)):
        for panel, together in ((128, 1 << 20), (5, 1 << 20), (128, 1)):
            monkeypatch.setattr(halving, "_PANEL", panel)
            monkeypatch.setattr(halving, "_TOGETHER", together)
            points, sets = thinned(sequence, 4, 0, engine)
            assert points.tolist() == list(range(192))
            assert sets.tolist() == expected


def test_two_pairs_by_hand() -> None:
    # k is 1/2 between neighbours at distance root 3, 1/sqrt(13) at distance 2 root 3
    vectors = 3**0.5 * np.arange(4)[:, None]
    kernel = Kernel((("inverse-multiquadric", 1.0),))
    k = [1.0, 0.5, 13**-0.5, 28**-0.5]
    # both pairs have b^2 = 2 - 2 k1 = 1: the first bar is 1, sigma^2 then 1, the second bar
    # sqrt(2 log(2 / 0.1)); the second product is that of k0 - k1 with k2 - k3
    bar = math.sqrt(2 * math.log(20))
    bars = thresholds(np.array([[1.0, 1.0]]), 0.1)
    np.testing.assert_allclose(bars, [[1.0, bar]])
    alpha = 2 * k[2] - k[3] - k[1]
    rows = pooled(vectors)
    for first, sign in ((0.4, 1), (0.6, -1)):
        chance = 0.5 * (1 - sign * alpha / bar)
        for second, kept in ((chance - 1e-6, True), (chance + 1e-6, False)):
            coins = np.array([[first, second]])
            found = halve(kernel, rows, np.arange(4)[None], coins, 0.1, SERIAL)
            assert found.tolist() == [[sign > 0, kept]]


@settings(deadline=None)
@given(
    size=st.integers(1, 24),
    rounds=st.integers(0, 6),
    levels=st.integers(0, 6),
    seed=st.integers(0, 5),
)
def test_compress_halves_all(size: int, rounds: int, levels: int, seed: int) -> None:
    levels = min(levels, most_levels(size, rounds))
    random = np.random.default_rng(seed)
    sequence = Sequence(
        Kernel((("gaussian", 1.0),)),
        pooled(random.normal(size=(size << rounds, 2))),
        np.arange(size << rounds),
        lambda stage, points: random.random(points.shape),
    )
    points, sets = thinned(sequence, rounds, levels, SERIAL)
    assert len(points) == size << (rounds - levels)
    assert sets.shape == (1 << (rounds - levels), size)
    assert len(np.unique(points)) == len(points)
    assert np.sort(sets, axis=None).tolist() == np.sort(points).tolist()
    # each quarter of the sequence gives as many
    if levels > 1:
        quarters = np.bincount(points * 4 // len(sequence.places), minlength=4)
        assert np.ptp(quarters) < len(points)


@settings(deadline=None)
@given(
    mass=st.lists(st.floats(0.1, 9.0), min_size=1, max_size=20),
    extra=st.integers(0, 30),
    offset=st.floats(0.001, 0.999),
)
def test_systematic_sampling(mass: list[float], extra: int, offset: float) -> None:
    count = len(mass) + extra
    share = np.array(mass) / sum(mass) * count
    copies = systematic(np.array(mass), count, offset)
    assert copies.sum() == count
    assert (np.abs(copies - share) < 1 + 1e-9).all()
    assert (systematic(np.full(count, mass[0]), count, offset) == 1).all()
    mean = np.mean([systematic(np.array(mass), count, (i + 0.5) / 500) for i in range(500)], axis=0)
    np.testing.assert_allclose(mean, share, atol=0.01)


def test_exchanging_rows_never_raises_the_distance() -> None:
    vectors = digits()[0][:300]
    kernel, rows = Kernel((("gaussian", 2.0),)), rows_of(vectors)
    values = matrix("gaussian", vectors, vectors, 2.0)
    pull = 20 * similarity(kernel, rows, rows, np.full(300, 1 / 300), SERIAL)
    columns = Columns(kernel, rows)
    for seed in range(10):
        places = np.random.default_rng(seed).choice(300, 20, replace=False)
        before = discrepancy(values, places)
        known = objectives(kernel, rows, pull, places[None])[0]
        assert 2 * known / 400 + values.mean() == pytest.approx(before**2)
        last = before
        for passes in (1, 2, 10):
            better = refined(columns, pull, places, 20, passes)
            assert len(set(better.tolist())) == 20
            assert discrepancy(values, better) <= last + 1e-12
            last = discrepancy(values, better)
        assert last < before
        # no single exchange is left that would help
        for index in range(20):
            rest = np.delete(better, index)
            others = np.setdiff1d(np.arange(300), rest)
            least = min(discrepancy(values, np.append(rest, other)) for other in others[::7])
            assert last <= least + 1e-9
        twice = np.where(np.arange(20) < 2, places[0], places)
        assert len(set(refined(columns, pull, twice, 20, 0).tolist())) == 20


def test_one_exchange_as_by_trying_all(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = digits()[0][:60]
    kernel, rows = Kernel((("laplace", 2.0),)), rows_of(vectors)
    values = matrix("laplace", vectors, vectors, 2.0)
    pull = 3 * values.mean(axis=1)
    expected = [7, 8, 9]
    for index in range(3):
        options = [i for i in range(60) if i not in np.delete(expected, index)]
        tried = [discrepancy(values, np.array([*np.delete(expected, index), i])) for i in options]
        expected[index] = options[int(np.argmin(tried))]
    for held in (2048, 1):
        monkeypatch.setattr(swapping, "_HELD", held)
        found = refined(Columns(kernel, rows), pull, np.array([7, 8, 9]), 3, 1)
        assert found.tolist() == expected


def test_prefixes_by_rank_stand_for_all() -> None:
    vectors = digits()[0][:64]
    rows = rows_of(vectors)
    values = matrix("gaussian", vectors, vectors, 2.0)
    order = ordered(Kernel((("gaussian", 2.0),)), rows, values.mean(axis=1))
    assert sorted(order) == list(range(64))
    assert discrepancy(values, order[:16]) < 0.8 * discrepancy(values, np.arange(16))


@pytest.mark.parametrize(("size", "compress"), [(64, "auto"), (64, 1), (50, 1)])
def test_without_exchange_no_row_is_preferred(size: int, compress: object, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(512, 3)).astype(np.float32) ** 3
    dump = write_dump(tmp_path / "emb", vector_table(vectors))
    params = {"no_swap": True, "compress": compress, "bandwidth": 2.0}
    means = np.array(
        [
            vectors[choose("kernel-thinning", dump, size, params, seed=seed).rows].mean(axis=0)
            for seed in range(120)
        ],
        np.float64,
    )
    error = means.std(axis=0, ddof=1) / math.sqrt(len(means))
    assert (np.abs(means.mean(axis=0) - vectors.mean(axis=0)) < 3 * error).all()


def slopes(dim: int, variant: str) -> tuple[float, float]:
    """Slope of log MMD over log size, of thinning n^2 normal points to n and of drawing n."""
    found: list[list[float]] = []
    sizes = [8, 16, 32, 64]
    for n in sizes:
        thin: list[float] = []
        drawn: list[float] = []
        for seed in range(4):
            random = np.random.default_rng([seed, n, dim])
            vectors = random.normal(size=(n * n, dim)).astype(np.float32)
            scale = math.sqrt(2 * dim)
            params = KernelThinningParams.build({"bandwidth": scale, "variant": variant}, "")
            rows = thin_in_memory(vectors, n, params, seed)
            values = Kernel((("gaussian", scale),))
            points = rows_of(vectors)
            mean = similarity(values, points, points, np.full(n * n, 1 / n**2), SERIAL)
            for places, into in ((rows, thin), (random.choice(n * n, n, replace=False), drawn)):
                some = points.take(places)
                square = values(some, some).mean() - 2 * mean[places].mean() + mean.mean()
                into.append(math.sqrt(max(square, 0.0)))
        found.append([float(np.mean(np.log(thin))), float(np.mean(np.log(drawn)))])
    thin_slope, drawn_slope = np.polyfit(np.log(sizes), np.array(found), 1)[0]
    return float(thin_slope), float(drawn_slope)


def thin_in_memory(
    vectors: NDArray[np.float32], n: int, params: KernelThinningParams, seed: int
) -> NDArray[np.int64]:
    """Thin a pool without a dump."""
    thinning = kernel_thinning._Thinning(params, seed)
    thinning.fit(cast("Vectors", SimpleNamespace(count=len(vectors), dim=vectors.shape[1])))
    nothing = np.empty((0, vectors.shape[1]), np.float32)
    pool = Pool(np.arange(len(vectors)), vectors, np.ones(len(vectors)), nothing)
    return thinning.pick(pool, n, SERIAL).places


@pytest.mark.parametrize(
    ("dim", "variant", "least"), [(2, "target", -0.8), (2, "plus", -0.8), (10, "target", -0.6)]
)
def test_the_rate_beats_drawing(dim: int, variant: str, least: float) -> None:
    thin, drawn = slopes(dim, variant)
    assert -0.6 < drawn < -0.4
    assert thin < least


@pytest.mark.parametrize("size", [5, 37, 128, 180, 400, 700, 1000, 1500])
def test_any_size_is_below_drawing(size: int, tmp_path: Path) -> None:
    dump = digits_dump(tmp_path / "emb")
    found = choose("kernel-thinning", dump, size, {"bandwidth": 2.0})
    assert len(set(found.rows.tolist())) == size
    assert found.weight.tolist() == pytest.approx([1797 / size] * size)
    kernel = digits_kernel()
    assert discrepancy(kernel, found.rows) < 0.7 * digits_uniform(size)


def test_masses_are_stood_for(tmp_path: Path) -> None:
    dump = digits_dump(tmp_path / "emb")
    clustering = write_clustering(tmp_path / "clustering", dump, digits()[0][:6])
    kernel = digits_kernel()
    whole = discrepancy(kernel, choose("kernel-thinning", dump, 60, {"bandwidth": 2.0}).rows)
    uniform = digits_uniform(60)
    for params in ({"pool_size": 300}, {"pool_size": 300, "partition": "cluster"}):
        every = {**params, "bandwidth": 2.0}
        found = choose("kernel-thinning", dump, 60, every, clustering=clustering)
        assert found.weight.sum() == pytest.approx(1797)
        assert discrepancy(kernel, found.rows) < whole + 0.3 * (uniform - whole)


def test_given_rows_are_made_up_for(tmp_path: Path) -> None:
    dump = digits_dump(tmp_path / "emb")
    held = np.flatnonzero(digits()[1] == 0)[:40]
    pq.write_table(pa.table({"row": held}), tmp_path / "held.parquet")
    params: dict[str, object] = {"bandwidth": 2.0}
    without = choose("kernel-thinning", dump, 80, params)
    params["given"] = str(tmp_path / "held.parquet")
    found = choose("kernel-thinning", dump, 80, params)
    assert not np.isin(found.rows, held).any()
    assert found.weight.tolist() == pytest.approx([1797 / 120] * 80)
    kernel = digits_kernel()
    together = discrepancy(kernel, np.concatenate([held, found.rows]))
    unaware = discrepancy(kernel, np.concatenate([held, without.rows]))
    assert together < 0.6 * unaware
    herded = choose("herding", dump, 80, params)
    assert together < 1.1 * discrepancy(kernel, np.concatenate([held, herded.rows]))


def test_power_kernels() -> None:
    # the Fourier transform of the power kernel is a power of that of the kernel, on a line
    x = np.linspace(-60.0, 60.0, 1 << 15, endpoint=False)
    points = Rows(x[:, None], x**2)
    origin = Rows(np.zeros((1, 1)), np.zeros(1))
    for name, exponent in (("gaussian", 1 / 2), ("matern-1.5", 1 / 2), ("matern-2.5", 2 / 3)):
        kernel = Kernel(((name, 1.3),))
        whole, part = (
            np.abs(np.fft.rfft(some(points, origin)[:, 0]))[:80]
            for some in (kernel, kernel.power(1))
        )
        np.testing.assert_allclose(part / part[0], (whole / whole[0]) ** exponent, rtol=2e-3)
    assert Kernel((("matern-2.5", 1.0),)).power(3).parts[0][0] == "laplace"
    mean = Kernel((("gaussian", 1.0),)).plus(1)(points.part(0, 5), origin)
    both = [Kernel((("gaussian", scale),))(points.part(0, 5), origin) for scale in (1, 0.5**0.5)]
    np.testing.assert_allclose(mean, (both[0] + both[1]) / 2)


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_as_they_are_written(name: str) -> None:
    vectors = digits()[0][:40]
    rows = rows_of(vectors)
    kernel = Kernel(((name, 1.7),))
    expected = matrix(name, vectors, vectors, 1.7)
    np.testing.assert_allclose(kernel(rows, rows), expected, atol=1e-6)
    np.testing.assert_allclose(np.diag(kernel(rows, rows)), 1.0)
    paired = kernel.paired(rows.part(0, 20), rows.part(20, 40))
    np.testing.assert_allclose(paired, np.diag(expected[:20, 20:]), atol=1e-6)


@pytest.mark.parametrize("name", ["laplace", "inverse-multiquadric"])
@pytest.mark.parametrize("variant", ["power", "plus"])
def test_kernels_without_a_power_kernel(name: str, variant: str, tmp_path: Path) -> None:
    params: dict[str, object] = {"kernel": name, "variant": variant}
    with pytest.raises(ParameterError, match=f"the kernel {name} has no power kernel") as caught:
        METHODS["kernel-thinning"].params.build(params, "kernel-thinning")
    assert caught.value.hint == "take --variant target, or another --kernel"


def test_equal_rows_are_thinned_too(tmp_path: Path) -> None:
    same = write_dump(tmp_path / "same", vector_table(np.full((100, 3), 0.1, np.float32)))
    for params in ({}, {"compress": 0}, {"kernel": "laplace"}, {"kernel": "sinc"}):
        assert len(set(choose("kernel-thinning", same, 11, params).rows.tolist())) == 11


def test_an_oversampling_that_is_not_whole() -> None:
    with pytest.raises(ParameterError, match=r"^--compress 1.5 is not a whole number$"):
        METHODS["kernel-thinning"].params.build({"compress": 1.5}, "kernel-thinning")
