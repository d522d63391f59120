"""Coresets: probabilities, groups and intervals, and what the weights are good for."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coresift.clustering.saved import SavedClustering
from coresift.core.errors import CoresiftError, InputError, ParameterError
from coresift.core.memory import Budget
from coresift.core.progress import Silent
from coresift.core.selection import Selection
from coresift.engine.serial import SerialEngine
from coresift.io import dump as dump_module
from coresift.io.dump import InputOptions, open_dump
from coresift.io.store import Scratch
from coresift.io.vectors import ingest
from coresift.selection.base import Context
from coresift.selection.coresets.feldman_langberg import Sensitivity
from coresift.selection.coresets.groups import Groups
from coresift.selection.coresets.intervals import cut
from coresift.selection.coresets.lightweight import Lightweight
from coresift.selection.coresets.rough import RoughSolution
from coresift.selection.draws import line as line_module
from coresift.selection.draws.drawing import MassBlock
from coresift.selection.methods.coreset import _drawn
from coresift.selection.params.coreset import CoresetParams
from tests.clustering.rows import brute_force
from tests.data import digits, digits_dump, gaussians, vector_table, write_dump
from tests.selection.choosing import choose
from tests.selection.saved import write_clustering

DOCUMENTED = Path(__file__).parents[2] / "docs" / "coresets.md"
# Two clusters on a line, around 0 and 10: distances 0, 1, 2 and 0, 2, 4.
POINTS = np.array([[0.0], [1.0], [-2.0], [10.0], [12.0], [14.0]], np.float32)
CENTROIDS = np.array([[0.0], [10.0]], np.float32)
DISTANCE = np.array([0.0, 1.0, 2.0, 0.0, 2.0, 4.0])
TIMES = np.array([1.0, 3.0, 1.0, 2.0, 1.0, 4.0])


@pytest.fixture
def six(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(line_module, "_PARTS", 1)
    write_dump(tmp_path / "dump", vector_table(POINTS, times=TIMES), files=2)
    write_clustering(tmp_path / "clusters", tmp_path / "dump", CENTROIDS, group_rows=2)
    return tmp_path


def _probabilities(folder: Path, clustering: Path | None, **params: object) -> NDArray[np.float64]:
    """Of each of the six rows to be the one that is drawn, from the weights of those that are."""
    found = np.zeros(6)
    for seed in range(30):
        chosen = choose("coreset", folder / "dump", 1, params, clustering=clustering, seed=seed)
        found[chosen.rows] = 1.0 / chosen.weight
    return found


def test_sensitivities_are_those_of_the_paper(six: Path) -> None:
    # alpha = 16 (log 2 + 2); costs sum to 25, those of the clusters to 5 and 20, n / |B| = 2
    alpha, mean = 43.0903548890, 25.0 / 6.0
    squared = np.array([0.0, 1.0, 4.0, 0.0, 4.0, 16.0])
    of_cluster = np.array([5.0, 5.0, 5.0, 20.0, 20.0, 20.0]) / 3.0
    bound = alpha * squared / mean + 2.0 * alpha * of_cluster / mean + 8.0
    found = _probabilities(six, six / "clusters")
    assert (found > 0).sum() >= 5
    np.testing.assert_allclose(found[found > 0], (bound / bound.sum())[found > 0], rtol=1e-9)


def test_sensitivities_for_k_median_are_of_distances(six: Path) -> None:
    alpha, mean = 16.0 * (np.log(2.0) + 2.0), 9.0 / 6.0
    of_cluster = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
    bound = alpha * DISTANCE / mean + 2.0 * alpha * of_cluster / mean + 8.0
    found = _probabilities(six, six / "clusters", objective="kmedian")
    np.testing.assert_allclose(found[found > 0], (bound / bound.sum())[found > 0], rtol=1e-9)


@pytest.mark.parametrize(("objective", "power"), [("kmeans", 2), ("kmedian", 1)])
def test_lightweight_is_half_uniform_and_half_by_the_distance_to_the_mean(
    six: Path, objective: str, power: int
) -> None:
    # the mean of 0, 1, -2, 10, 12, 14 is 35 / 6
    cost = np.abs(POINTS[:, 0] - np.float32(35.0 / 6.0)).astype(np.float64) ** power
    expected = 0.5 / 6.0 + 0.5 * cost / cost.sum()
    found = _probabilities(six, None, objective=objective, construction="lightweight")
    assert (found > 0).sum() >= 5
    np.testing.assert_allclose(found[found > 0], expected[found > 0], rtol=1e-6)


@pytest.mark.parametrize("construction", ["sensitivity", "group", "lightweight"])
def test_a_row_that_stands_for_several_counts_as_so_many(six: Path, construction: str) -> None:
    copies = np.repeat(np.arange(6), TIMES.astype(int))
    write_dump(six / "copies" / "dump", vector_table(POINTS[copies]))
    write_clustering(six / "copies" / "clusters", six / "copies" / "dump", CENTROIDS)
    single = np.zeros(len(copies))
    weighted = np.zeros(6)
    for seed in range(25):
        for folder, found, params in (
            (six / "copies", single, {}),
            (six, weighted, {"weight": "times"}),
        ):
            chosen = choose(
                "coreset",
                folder / "dump",
                1,
                {"construction": construction, **params},
                clustering=None if construction == "lightweight" else folder / "clusters",
                seed=seed,
            )
            found[chosen.rows] = 1.0 / chosen.weight
    # what is drawn with probability w p stands for w / (w p)
    for row in np.flatnonzero(weighted):
        same = single[(copies == row) & (single > 0)]
        np.testing.assert_allclose(same, weighted[row], rtol=1e-6)
    assert np.count_nonzero(weighted) >= 4


class _Again:
    """Masses that were made once."""

    def __init__(self, line: Sensitivity | Groups | Lightweight) -> None:
        self.strata = line.strata
        self._blocks = list(line.masses())

    def masses(self) -> Iterator[MassBlock]:
        return iter(self._blocks)

    def resolved(self) -> dict[str, int]:
        return {}


def _lines(folder: Path, vectors: NDArray[np.float32], k: int, power: int, n: int) -> Iterator[Any]:
    """Each construction's masses, and a context to draw from them."""
    source = write_dump(folder / "dump", vector_table(vectors))
    clusters = write_clustering(folder / "clusters", source, vectors[:k])
    rough = RoughSolution(SavedClustering.open(clusters), power, None, Silent())
    with Scratch() as scratch:
        context = Context(SerialEngine(), Budget(8 << 30), scratch, Silent())
        dump = open_dump([source], InputOptions())
        points = ingest(dump, SerialEngine(), context.budget, scratch, Silent())
        for line in (
            Sensitivity(rough),
            Groups(rough, power, 0.5, n),
            Lightweight(points, power, None, context),
        ):
            yield _Again(line), context


@pytest.mark.parametrize(("power", "draws"), [(2, 2000), (1, 500)])
def test_costs_are_unbiased(
    tmp_path: Path, power: int, draws: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_module, "_PARTS", 1)
    vectors = digits()[0][:300]
    generator = np.random.default_rng(0)
    at: list[NDArray[Any]] = [vectors[:5], vectors[50:70], generator.normal(size=(3, 64))]
    at.append(np.full((1, 64), 9.0))
    costs = [brute_force(vectors, c.astype(np.float32))[1] ** (power / 2.0) for c in at]
    terms = np.stack([np.ones(300), *costs])
    whole = terms.sum(axis=1)
    for line, context in _lines(tmp_path, vectors, 8, power, 40):
        found = np.empty((draws, len(terms)))
        for seed in range(len(found)):
            lent = Context(context.engine, context.budget, context.scratch, Silent(), seed)
            drawn = _drawn(line, 40, 300, None, CoresetParams(), lent)
            assert len(drawn.rows) == 40
            found[seed] = terms[:, drawn.rows] @ drawn.weight
        deviation = found.std(axis=0, ddof=1) / np.sqrt(len(found))
        assert (np.abs(found.mean(axis=0) - whole) <= 3.0 * deviation).all()
        assert (found.std(axis=0) < 0.1 * whole).all()


def test_weights_add_up_to_the_rows(tmp_path: Path) -> None:
    vectors = digits()[0]
    for line, context in _lines(tmp_path, vectors, 20, 2, 180):
        for seed in range(10):
            lent = Context(context.engine, context.budget, context.scratch, Silent(), seed)
            total = _drawn(line, 180, 1797, None, CoresetParams(), lent).weight.sum()
            assert total == pytest.approx(1797, rel=0.02)


def _by_the_paper(
    cost: NDArray[np.float64], cluster: NDArray[np.int32], k: int, power: int, epsilon: float
) -> tuple[dict[tuple[int, ...], list[int]], list[list[int]]]:
    """Groups of rows, and rings that one row stands for, as the paper writes them down."""
    mean = [cost[cluster == i].mean() for i in range(k)]
    least = 2.0 ** np.floor(power * np.log2(epsilon / (8 * power)))
    most = 2.0 ** np.ceil(2 * power * np.log2(4 * power / epsilon))
    rings: dict[tuple[int, int], list[int]] = defaultdict(list)
    inner: dict[int, list[int]] = defaultdict(list)
    for row, (value, i) in enumerate(zip(cost.tolist(), cluster.tolist(), strict=True)):
        if value < least * mean[i] or value == 0.0:
            inner[i].append(row)
            continue
        j = 999 if value >= most * mean[i] else int(np.floor(np.log2(value / mean[i])))
        rings[j, i].append(row)
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    apart = list(inner.values())
    for (j, i), rows in rings.items():
        of_ring = sum(cost[r].sum() for (other, _), r in rings.items() if other == j)
        share = cost[rings[j, i]].sum() * k / of_ring
        if share < least and j != 999:
            apart.append(rows)
        else:
            b = int(np.floor(np.log2(share / least))) if share < 1.0 else 10**6
            groups[j, max(0, b)] += rows
    return groups, apart


@pytest.mark.parametrize(("power", "epsilon"), [(2, 0.5), (2, 1.0), (1, 0.5), (1, 0.9)])
def test_groups_are_those_of_the_paper(tmp_path: Path, power: int, epsilon: float) -> None:
    generator = np.random.default_rng(3)
    k = 12
    centroids = (100.0 * generator.normal(size=(k, 2))).astype(np.float32)
    # none of a single row, whose cost is the mean but for its last bits
    sizes = [3, 2, 5, 20, 20, 60, 100, 200, 300, 400, 500, 600]
    label = np.repeat(np.arange(k), sizes)
    radius = (
        10.0 ** generator.uniform(-4, 0.0, len(label)) * 2.0 ** generator.integers(0, 3, k)[label]
    )
    angle = generator.uniform(0, 7, len(label))
    vectors = centroids[label] + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    source = write_dump(tmp_path / "dump", vector_table(vectors.astype(np.float32)))
    saved = write_clustering(tmp_path / "clusters", source, centroids, group_rows=len(label))
    clusters = SavedClustering.open(saved)
    rough = RoughSolution(clusters, power, None, Silent())
    (part,) = rough.costs("")
    groups, apart = _by_the_paper(part.cost, part.cluster, k, power, epsilon)
    assert len(groups) > 10
    assert len(apart) > 3
    n = 4 * len(apart)
    found = Groups(rough, power, epsilon, n)
    cell = found.cell(part)
    group = found.group.flat[cell]
    mine = {frozenset(np.flatnonzero(group == number).tolist()) for number in set(group) - {-1}}
    assert mine == {frozenset(rows) for rows in groups.values()}
    alone = {frozenset(np.flatnonzero(cell == c).tolist()) for c in set(cell[group == -1])}
    assert alone == {frozenset(rows) for rows in apart}
    assert found.resolved() == {"groups": len(groups), "represented": len(apart)}
    # masses: a group's is what it costs; in it a ring's is what it costs, spread evenly
    mass = np.concatenate([block.mass for block in found.masses()])
    total = sum(part.cost[rows].sum() for rows in groups.values())
    for (j, _), rows in groups.items():
        assert mass[rows].sum() == pytest.approx(part.cost[rows].sum())
        for i in set(part.cluster[rows]):
            ring = [row for row in rows if part.cluster[row] == i]
            expected = part.cost[ring] if j == 999 else np.full(len(ring), part.cost[ring].mean())
            np.testing.assert_allclose(mass[ring], expected, rtol=1e-6)
    # a quarter of the rows stands for rings of their own: each is drawn once, whatever the seed
    for rows in apart:
        assert mass[rows].sum() == pytest.approx(total / (n - len(apart)))
        np.testing.assert_allclose(mass[rows], mass[rows][0])
    for seed in range(3):
        params: dict[str, object] = {"construction": "group", "epsilon": epsilon}
        params["objective"] = "kmeans" if power == 2 else "kmedian"
        drawn = choose("coreset", source, n, params, clustering=clusters.path, seed=seed)
        if drawn.resolved["certain_rows"] == 0:
            for rows in apart:
                weight = drawn.weight[np.isin(drawn.rows, rows)]
                np.testing.assert_allclose(weight, [len(rows)], rtol=1e-6)


VALUES = st.lists(st.integers(-30, 30), min_size=2, max_size=9)


@settings(max_examples=60, deadline=None)
@given(values=VALUES, n=st.integers(1, 9), k=st.integers(1, 3), seed=st.integers(0, 99))
def test_intervals_keep_to_their_bound(values: list[int], n: int, k: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    line = np.sort(np.array(values, np.float64))
    weight = generator.integers(1, 4, len(line)).astype(np.float64)
    found = cut(line, weight, min(n, len(line)))
    chosen = line[found.places]
    assert len(set(found.places.tolist())) == len(chosen) == min(n, len(line))
    assert (found.weight > 0.0).all()
    assert found.weight.sum() == pytest.approx(weight.sum())
    if len(chosen) > 1:
        assert found.weight @ chosen == pytest.approx(weight @ line, abs=1e-9)
    grid = np.unique(np.concatenate([line, np.linspace(line[0] - 5, line[-1] + 5, 7)]))
    for centers in itertools.combinations(grid, k):
        at = np.array(centers)
        cost = weight @ np.abs(line[:, None] - at).min(axis=1)
        told = found.weight @ np.abs(chosen[:, None] - at).min(axis=1)
        assert abs(told - cost) <= (2 * k - 1) * found.error + 1e-9


@settings(max_examples=40, deadline=None)
@given(values=VALUES, n=st.integers(2, 5))
def test_intervals_are_cut_where_their_largest_error_is_least(values: list[int], n: int) -> None:
    line = np.sort(np.array(values, np.float64))
    n = min(n, len(line))

    def error(places: tuple[int, ...]) -> float:
        largest = 0.0
        for first, last in itertools.pairwise(places):
            a, b, inside = line[first], line[last], line[first : last + 1]
            if b > a:
                largest = max(largest, float((2.0 * (inside - a) * (b - inside)).sum() / (b - a)))
        return largest

    inner = itertools.combinations(range(1, len(line) - 1), n - 2)
    best = min(error((0, *some, len(line) - 1)) for some in inner)
    found = cut(line, np.ones(len(line)), n)
    assert found.error == pytest.approx(error(tuple(found.places.tolist())), abs=1e-9)
    assert found.error <= best * 1.002 + 1e-9


def test_intervals_are_the_default_for_k_median_in_one_dimension(tmp_path: Path) -> None:
    vectors = np.random.default_rng(2).standard_cauchy((4000, 1)).astype(np.float32)
    source = write_dump(tmp_path / "dump", vector_table(vectors), files=3)
    chosen = choose("coreset", source, 60, {"objective": "kmedian"})
    assert chosen.resolved["construction"] == "intervals"
    assert chosen.weight.sum() == pytest.approx(4000, rel=1e-12)
    line = vectors[:, 0].astype(np.float64)
    for centers in ([0.0], [-2.0, 3.0], [-50.0, 0.1, 80.0]):
        distance = np.abs(line[:, None] - np.array(centers)).min(axis=1)
        told = chosen.weight @ distance[chosen.rows]
        assert abs(told - distance.sum()) <= 5 * float(chosen.resolved["interval_error"])
        assert told == pytest.approx(distance.sum(), rel=1e-3)
    assert choose("coreset", source, 60).resolved["construction"] == "lightweight"
    one = choose("coreset", source, 1, {"objective": "kmedian"})
    assert one.weight.tolist() == [4000.0]


def test_k_center_is_that_of_its_own_method(tmp_path: Path) -> None:
    times = np.random.default_rng(4).uniform(0.5, 3.0, 400)
    vectors = gaussians(400, 3, 7)
    source = write_dump(tmp_path / "dump", vector_table(vectors, times=times))
    greedy = choose("k-center", source, 12)
    plain = choose("coreset", source, 12, {"objective": "kcenter"})
    assert plain.rows.tolist() == greedy.rows.tolist()
    assert plain.weight.tolist() == greedy.weight.tolist()
    counted = choose("coreset", source, 12, {"objective": "kcenter", "weight": "times"})
    assert counted.rows.tolist() == greedy.rows.tolist()
    near = brute_force(vectors, vectors[greedy.rows])[0]
    np.testing.assert_allclose(counted.weight, np.bincount(near, times), rtol=1e-12)


EVERY: list[dict[str, object]] = [
    {"construction": "sensitivity"},
    {"construction": "group", "objective": "kmedian"},
    {"construction": "lightweight", "weight": "times"},
    {"construction": "group", "weight": "times"},
    {"objective": "kcenter"},
    {"construction": "sensitivity", "with_replacement": True},
]


def _made(folder: Path, params: dict[str, object], size: int | str, **options: Any) -> Selection:
    vectors = options.pop("vectors", None)
    vectors = gaussians(600, 4, 5) if vectors is None else vectors
    groups = options.pop("groups", 100)
    table = vector_table(vectors, times=1.0 + np.arange(len(vectors)) % 3)
    source = write_dump(
        folder / "dump", table, files=options.pop("files", 1), row_group_size=groups
    )
    clusters = None
    if params.get("construction") in ("sensitivity", "group"):
        clusters = write_clustering(folder / "c", source, vectors[:6], group_rows=groups)
    return choose("coreset", source, size, params, clustering=clusters, **options)


def _is(one: Selection, other: Selection) -> bool:
    pairs = (one.rows, other.rows), (one.weight, other.weight)
    return all(bool(np.array_equal(mine, theirs)) for mine, theirs in pairs)


@pytest.mark.parametrize("params", EVERY, ids=str)
def test_same_whatever_the_threads_files_and_shards(
    params: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _made(tmp_path / "a", params, 50, threads=1)
    # what is held of each row goes to a scratch file; k-center's pool has to be in memory
    spilled = None if params.get("objective") == "kcenter" else 1
    assert _is(first, _made(tmp_path / "b", params, 50, files=7, memory=spilled))
    monkeypatch.setattr(dump_module, "_SHARD_BYTES", 1)
    monkeypatch.setattr(dump_module.Dump, "batch_rows", lambda self, columns: 7)
    assert _is(first, _made(tmp_path / "c", params, 50, groups=17))


@pytest.mark.parametrize("params", EVERY[:-1], ids=str)
def test_few_rows_all_rows_and_equal_rows(params: dict[str, object], tmp_path: Path) -> None:
    total = 1200.0 if "weight" in params else 600.0
    one = _made(tmp_path / "one", params, 1)
    assert len(one.rows) == 1
    every = _made(tmp_path / "all", params, "100%")
    assert every.rows.tolist() == list(range(600))
    assert every.weight.sum() == pytest.approx(total)
    np.testing.assert_allclose(every.weight, 1.0 + (np.arange(600) % 3) * ("weight" in params))
    equal = _made(tmp_path / "equal", params, 30, vectors=np.ones((600, 3), np.float32))
    assert len(equal.rows) == 30
    assert equal.weight.sum() == pytest.approx(total, rel=0.05)


def test_draws_with_replacement_are_merged(tmp_path: Path) -> None:
    chosen = _made(tmp_path, EVERY[-1], 300)
    assert len(chosen.rows) < 300
    assert chosen.notes == (f"300 draws gave {len(chosen.rows)} distinct rows",)
    assert chosen.weight.sum() == pytest.approx(600, rel=0.2)


def test_coresets_of_shards_merge_and_reduce_as_documented(tmp_path: Path) -> None:
    vectors = digits()[0]
    digits_dump(tmp_path / "emb", files=4)
    blocks = re.findall(r"```sh\n(.*?)```", DOCUMENTED.read_text(), re.DOTALL)
    (loop,) = (block for block in blocks if "--weight" in block)
    scripts = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": scripts + os.pathsep + os.environ["PATH"]}
    subprocess.run(["bash", "-ec", loop], cwd=tmp_path, env=environment, check=True)
    assert len(list((tmp_path / "parts").iterdir())) == 4
    whole = pq.read_table(tmp_path / "coreset.parquet")
    assert whole.column_names == ["id", "embedding", "row", "weight"]
    assert len(whole) == 300
    weight = whole.column("weight").to_numpy()
    assert weight.sum() == pytest.approx(1797, rel=0.02)
    rows = whole.column("embedding").combine_chunks().flatten().to_numpy().reshape(-1, 64)
    generator = np.random.default_rng(0)
    for _ in range(20):
        at = vectors[generator.choice(1797, 10, replace=False)]
        cost = brute_force(vectors, at)[1].sum()
        # each of the two reductions is within 3% at centers that were not fitted to it
        assert weight @ brute_force(rows, at)[1] == pytest.approx(cost, rel=0.06)


@pytest.mark.parametrize(
    ("params", "clustered", "message"),
    [
        ({"construction": "group"}, False, "--construction group needs a clustering"),
        ({"construction": "sensitivity"}, False, "--construction sensitivity needs a clustering"),
        ({"construction": "lightweight"}, True, "--construction lightweight does not use a clus"),
        ({"objective": "kcenter"}, True, "--objective kcenter does not use a clustering"),
        (
            {"construction": "intervals", "objective": "kmedian"},
            False,
            "--construction intervals is for one dimension, and vectors have 2",
        ),
        ({"construction": "intervals"}, False, "--construction intervals is for k-median"),
        (
            {"construction": "group", "objective": "kcenter"},
            False,
            "--construction group is about sums of distances",
        ),
        ({"construction": "group", "with_replacement": True}, True, "--with-replacement is not fo"),
        ({"objective": "kcenter", "with_replacement": True}, False, "--with-replacement draws row"),
        ({"weight": "nothing"}, False, "--weight: no column 'nothing'"),
    ],
)
def test_what_does_not_go_together(
    params: dict[str, object], clustered: bool, message: str, tmp_path: Path
) -> None:
    vectors = gaussians(60, 2, 3)
    source = write_dump(tmp_path / "dump", vector_table(vectors))
    clusters = write_clustering(tmp_path / "c", source, vectors[:3]) if clustered else None
    with pytest.raises(ParameterError) as caught:
        choose("coreset", source, 5, params, clustering=clusters)
    assert message in caught.value.message


def test_weights_must_be_above_zero(tmp_path: Path) -> None:
    times = np.ones(60)
    times[41] = 0.0
    source = write_dump(tmp_path / "dump", vector_table(gaussians(60, 2, 3), times=times))
    with pytest.raises(InputError, match=r"\(row 41\): --weight 'times' is 0$") as caught:
        choose("coreset", source, 5, {"weight": "times"})
    assert isinstance(caught.value, CoresiftError)
    assert caught.value.hint is not None
    kept = InputOptions(where="times > 0")
    assert choose("coreset", source, 59, {"weight": "times"}, options=kept).weight.sum() == 59
