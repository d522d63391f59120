"""Pools: how they are cut, and that picking from candidates finds what picking from all does."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coresift.clustering.saved import SavedClustering
from coresift.core.errors import ParameterError, ResourceError
from coresift.core.memory import Budget
from coresift.core.progress import Silent
from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.engine.base import Engine
from coresift.engine.local import LocalEngine
from coresift.io.dump import open_dump
from coresift.io.store import Scratch
from coresift.selection.base import Context, Data
from coresift.selection.params.pool import PoolParams
from coresift.selection.pools.partition import shares, spans
from coresift.selection.pools.pool import Picked, Pool, select_from_pools
from tests.data import gaussians, vector_table, write_dump
from tests.selection.saved import write_clustering

ROWS = 500


def largest(pool: Pool, n: int, engine: Engine) -> Picked:
    """The rows whose first coordinate is largest."""
    assert (np.diff(pool.rows) > 0).all()
    value = pool.vectors[:, 0].astype(np.float64)
    places = np.lexsort((pool.rows, -value))[:n]
    return Picked(places, value[places])


def run(
    source: Path,
    n: str | int,
    params: dict[str, object] | None = None,
    clustering: Path | None = None,
    memory: int | None = None,
    threads: int = 2,
) -> Selection:
    engine = LocalEngine(threads)
    with Scratch() as scratch:
        context = Context(
            engine=engine,
            budget=Budget.default() if memory is None else Budget(memory),
            scratch=scratch,
            progress=Silent(),
            clustering=None if clustering is None else SavedClustering.open(clustering),
        )
        return select_from_pools(
            Data(open_dump([source]), engine, Silent()),
            Size.parse(n),
            PoolParams.build(params or {}, "largest"),
            context,
            largest,
            method="largest",
            pool_rows=10_000,
        )


@pytest.mark.parametrize("params", [{}, {"pool_size": 90}, {"pool_size": 61}])
def test_candidates_of_pools_hold_the_best(params: dict[str, object], tmp_path: Path) -> None:
    vectors = gaussians(ROWS, 4, 9)
    source = write_dump(tmp_path / "dump", vector_table(vectors), files=2)
    clustering = write_clustering(tmp_path / "clustering", source, gaussians(9, 4, 9))
    best = np.argsort(-vectors[:, 0], kind="stable")[:10]
    # equal parts of the dump give ten candidates at most, and hold a few of the best each
    found = run(source, 10, params)
    if params:
        by_cluster = run(source, 10, {**params, "partition": "cluster"}, clustering)
        assert by_cluster.weight.sum() == ROWS
        assert by_cluster.resolved["pools"] != 1
        assert "candidates of these" in found.notes[0]
        # the best of each pool is always a candidate
        assert best[0] in by_cluster.rows
    else:
        assert found.rows.tolist() == sorted(best.tolist())
    assert found.rank is not None
    assert found.rows[np.argsort(found.rank)][0] == best[0]
    assert found.weight.sum() == ROWS
    assert found.score is not None
    assert found.score.tolist() == vectors[found.rows, 0].tolist()


def test_without_candidates_each_pool_gives_its_share(tmp_path: Path) -> None:
    vectors = gaussians(ROWS, 4, 9)
    source = write_dump(tmp_path / "dump", vector_table(vectors))
    found = run(source, 100, {"pool_size": 125})
    places = np.searchsorted([125, 250, 375, 500], found.rows, side="right")
    assert np.bincount(places).tolist() == [25, 25, 25, 25]
    assert "candidates" not in found.notes[0]
    assert found.rank is not None
    first = found.rows[np.argsort(found.rank)][:4]
    assert sorted(np.searchsorted([125, 250, 375, 500], first, side="right")) == [0, 1, 2, 3]


def test_more_pools_than_a_pool_holds_candidates_of(tmp_path: Path) -> None:
    vectors = gaussians(4000, 4, 9)
    source = write_dump(tmp_path / "dump", vector_table(vectors))
    found = run(source, 2, {"pool_size": 20})
    assert found.resolved["pools"] == 200
    assert found.notes[0].endswith(
        "in 200 pools, and then from 200 candidates of these, and then from 20 candidates of these"
    )
    assert found.weight.sum() == 4000
    assert int(vectors[:, 0].argmax()) in found.rows


def test_rows_of_a_pool_are_ascending(tmp_path: Path) -> None:
    source = write_dump(tmp_path / "dump", vector_table(gaussians(ROWS, 4, 9)))
    clustering = write_clustering(tmp_path / "clustering", source, gaussians(9, 4, 9))
    by_cluster = run(source, 30, {"partition": "cluster"}, clustering)
    assert by_cluster.rows.tolist() == run(source, 30).rows.tolist()


def test_given_rows_are_in_no_pool(tmp_path: Path) -> None:
    source = write_dump(tmp_path / "dump", vector_table(gaussians(ROWS, 4, 9)))
    pq.write_table(pa.table({"row": np.arange(0, ROWS, 2)}), tmp_path / "given.parquet")
    params: dict[str, object] = {"given": str(tmp_path / "given.parquet"), "pool_size": 90}
    found = run(source, 10, params)
    assert (found.rows % 2 == 1).all()
    assert len(run(source, "100%", params).rows) == ROWS // 2


def test_a_pool_that_does_not_fit(tmp_path: Path) -> None:
    source = write_dump(tmp_path / "dump", vector_table(gaussians(20_000, 512, 9)))
    with pytest.raises(ResourceError, match=r"^2 pools of 10,000 rows needs .* of memory"):
        run(source, 10, memory=1 << 20)


def test_clusters_must_be_there(tmp_path: Path) -> None:
    source = write_dump(tmp_path / "dump", vector_table(gaussians(ROWS, 4, 9)))
    with pytest.raises(ParameterError, match=r"^--partition cluster is about clusters"):
        run(source, 10, {"partition": "cluster"})
    with pytest.raises(ParameterError, match=r"^--pool-size 2.5 is not a whole number"):
        run(source, 10, {"pool_size": 2.5})


@settings(deadline=None)
@given(sizes=st.lists(st.integers(0, 40), min_size=1, max_size=12), limit=st.integers(1, 30))
def test_spans_cover_all_rows_once(sizes: list[int], limit: int) -> None:
    starts = np.concatenate([[0], np.cumsum(sizes)])
    found = spans(starts, limit)
    assert found[0][0] == 0
    assert found[-1][1] == starts[-1]
    assert all(a[1] == b[0] for a, b in itertools.pairwise(found))
    assert all(stop - start <= limit for start, stop in found)
    inner = {stop for _, stop in found} - set(starts.tolist())
    # only clusters larger than a pool are cut
    for cut in inner:
        place = int(np.searchsorted(starts, cut)) - 1
        assert sizes[place] > limit


@settings(deadline=None)
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=12), data=st.data())
def test_shares_add_up(sizes: list[int], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, sum(sizes)))
    found = shares(np.array(sizes), n)
    assert found.sum() == n
    assert (found <= sizes).all()
    assert (np.abs(found - np.array(sizes) * n / sum(sizes)) < 1).all()
