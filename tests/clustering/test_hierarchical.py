"""Hierarchical k-means: its levels, what resampling does, and what is written and read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import coresift
from coresift.clustering.hierarchical import HierarchyParams, fit_levels
from coresift.clustering.kmeans import FitOptions, KMeans, KMeansParams
from coresift.clustering.saved import SavedClustering
from coresift.core.errors import ParameterError
from coresift.core.memory import Budget
from coresift.core.progress import Silent
from coresift.engine.local import LocalEngine
from coresift.io.store import Scratch
from tests.clustering.rows import Rows, brute_force
from tests.data import digits, digits_dump


def train_levels(
    points: NDArray[np.float32], hierarchy: HierarchyParams, *, step: int = 500, threads: int = 1
) -> tuple[KMeans, list[NDArray[np.float32]], list[NDArray[np.int32]]]:
    """Model of the rows, and centroids and parents of the levels above."""
    with Scratch() as scratch:
        options = FitOptions(
            spherical=False,
            device="cpu",
            seed=0,
            engine=LocalEngine(threads),
            budget=Budget(8 << 30),
            scratch=scratch,
            progress=Silent(),
        )
        params = KMeansParams(k=hierarchy.levels[0])
        model, levels = fit_levels(Rows(points, step), params, hierarchy, **options)
    return model, [level.centroids for level in levels], [level.parent for level in levels]


def test_each_level_groups_the_centroids_below_it() -> None:
    points, _ = digits()
    model, above, parents = train_levels(points, HierarchyParams((150, 30, 5), resamples=2))
    below = model.centroids
    for centroids, parent in zip(above, parents, strict=True):
        assert parent.tolist() == brute_force(below, centroids)[0].tolist()
        below = centroids
    assert [len(centroids) for centroids in above] == [30, 5]


def test_without_resampling_a_centroid_is_the_mean_of_those_below() -> None:
    points, _ = digits()
    model, (above,), (parent,) = train_levels(points, HierarchyParams((150, 20), resamples=0))
    means = np.stack([model.centroids[parent == i].mean(axis=0) for i in range(20)])
    assert np.allclose(above, means, atol=0.05)


@pytest.mark.parametrize("resampling", ["closest", "random"])
def test_resampling_spreads_centroids_over_the_support(resampling: str) -> None:
    """Of two squares of equal area one holds 50 times the rows: k-means gives it most centroids,
    resampled k-means nearer the same number (Vo et al., 2024, figure 3)."""
    random = np.random.default_rng(0)
    dense = random.random((5000, 2))
    sparse = random.random((100, 2)) + np.array([3.0, 0.0])
    points = np.concatenate([dense, sparse]).astype(np.float32)
    shares = []
    for resamples in (0, 10):
        params = HierarchyParams((60, 2), resamples, resample_size=6, resampling=resampling)
        model, _, _ = train_levels(points, params)
        shares.append(float((model.centroids[:, 0] > 2.0).mean()))
    assert shares[1] > 1.2 * shares[0]
    assert abs(shares[1] - 0.5) < abs(shares[0] - 0.5)


def test_the_same_whatever_the_runs_and_threads() -> None:
    points, _ = digits()
    hierarchy = HierarchyParams((60, 10), resamples=3)
    first, above, _ = train_levels(points, hierarchy)
    again, others, _ = train_levels(points, hierarchy, step=37, threads=2)
    assert np.array_equal(first.centroids, again.centroids)
    assert np.array_equal(above[0], others[0])


def test_equal_rows_are_not_resampled_below_k() -> None:
    points = np.repeat(np.eye(4, dtype=np.float32), 50, axis=0)
    model, _, _ = train_levels(points, HierarchyParams((20, 2), resample_size=2))
    assert sorted({tuple(row) for row in model.centroids.tolist()}, reverse=True) == [
        tuple(row) for row in np.eye(4).tolist()
    ]


def test_what_is_written_and_read(tmp_path: Path) -> None:
    digits_dump(tmp_path / "emb")
    result = coresift.cluster(
        tmp_path / "emb", k=[80, 20, 4], method="hierarchical", output=tmp_path / "c"
    )
    assert (result.k, result.levels, result.method) == (80, (80, 20, 4), "hierarchical")
    table = pq.read_table(tmp_path / "c" / "centroids.parquet")
    assert table["cluster"].to_pylist() == list(range(104))
    assert table["level"].to_pylist() == [1] * 80 + [2] * 20 + [3] * 4
    assert {name: str(table.schema.field(name).type) for name in ("level", "parent")} == {
        "level": "int32",
        "parent": "int32",
    }
    parent, size, medoid = (table[name].to_pylist() for name in ("parent", "size", "medoid"))
    assert parent[100:] == [None] * 4
    for level, end in ((2, 80), (3, 100)):
        for cluster in np.flatnonzero(np.array(table["level"]) == level):
            children = [c for c in range(end) if parent[c] == cluster]
            assert size[cluster] == sum(size[c] for c in children)
            assert medoid[cluster] in {medoid[c] for c in children}
    assert sum(size[100:]) == 1797
    saved = SavedClustering.open(tmp_path / "c")
    assert (saved.k, saved.rows, len(saved.parents)) == (80, 1797, 2)
    assert saved.parents[0].tolist() == [p - 80 for p in parent[:80]]
    assert saved.parents[1].tolist() == [p - 100 for p in parent[80:100]]
    coresift.replay(tmp_path / "c", output=tmp_path / "again")
    assert (tmp_path / "again" / "centroids.parquet").read_bytes() == (
        tmp_path / "c" / "centroids.parquet"
    ).read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 9, "method": "hierarchical"}, "-k 9 is one level, and --method hierarchical needs"),
        ({"k": (9, 9), "method": "hierarchical"}, "-k 9,9: each level must have fewer clusters"),
        ({"k": (9, 3)}, "-k 9,3 is several levels, and --method kmeans has one"),
        ({"k": 9, "resamples": 1}, "--resamples is an option of --method hierarchical"),
        ({"k": (9, 3), "method": "hierarchical", "resamples": -1}, "--resamples -1 is not at"),
        (
            {"k": (9, 3), "method": "hierarchical", "resampling": "far"},
            "--resampling 'far' is not one of closest, random",
        ),
    ],
)
def test_options_that_do_not_go_together(
    options: dict[str, object], message: str, tmp_path: Path
) -> None:
    digits_dump(tmp_path / "emb")
    with pytest.raises(ParameterError) as caught:
        coresift.cluster(tmp_path / "emb", output=tmp_path / "c", **options)  # type: ignore[arg-type]
    assert caught.value.message.startswith(message)
    assert not (tmp_path / "c").exists()
