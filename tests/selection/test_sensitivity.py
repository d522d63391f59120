"""Sensitivity sampling: probabilities, losses, and what the weights are good for."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from coresift.clustering.saved import SavedClustering
from coresift.core.errors import CoresiftError, InputError, MismatchError, ParameterError
from coresift.core.randomness import generator
from coresift.core.selection import Selection
from coresift.io.provenance import KEY, Provenance
from coresift.selection.draws.drawing import draw_distinct
from coresift.selection.reading.losses import hoelder_constant
from tests.data import digits, digits_dump, vector_table, write_dump
from tests.selection.choosing import choose
from tests.selection.saved import write_clustering
from tests.selection.test_drawing import streamed

# Two clusters on a line, around 0 and 10: distances 0, 1, 2 and 0, 2, 4.
POINTS = np.array([[0.0], [1.0], [-2.0], [10.0], [12.0], [14.0]], np.float32)
CENTROIDS = np.array([[0.0], [10.0], [99.0]], np.float32)
DISTANCE = np.array([0.0, 1.0, 2.0, 0.0, 2.0, 4.0])
LOSS = [3.0, 1.0]


@pytest.fixture
def six(tmp_path: Path) -> Path:
    table = vector_table(
        POINTS,
        id=list("abcdef"),
        per_row=[1.0, 2.0, 0.5, 0.0, 4.0, 2.5],
        holes=[1.0, None, 0.5, -1.0, 4.0, 2.5],
    )
    write_dump(tmp_path / "dump", table, files=2)
    write_clustering(tmp_path / "clustering", tmp_path / "dump", CENTROIDS, group_rows=2)
    return tmp_path


def _losses(folder: Path, *, metadata: Provenance | None = None, **columns: Any) -> str:
    columns = columns or {"cluster": [1, 0], "loss": LOSS[::-1]}
    table = pa.table(columns)
    if metadata is not None:
        table = table.replace_schema_metadata({KEY: metadata.to_json()})
    pq.write_table(table, folder / "losses.parquet")
    return str(folder / "losses.parquet")


def _select(folder: Path, size: int | str, seed: int = 0, **params: Any) -> Selection:
    return choose(
        "sensitivity",
        folder / "dump",
        size,
        {key.rstrip("_"): value for key, value in params.items()},
        clustering=folder / "clustering",
        seed=seed,
    )


def _probabilities(folder: Path, **params: object) -> NDArray[np.float64]:
    """p of each of the six rows, from the expected draws of the rows that came up."""
    found = np.zeros(6)
    for seed in range(20):
        chosen = _select(folder, 40 if params.get("with_replacement") else 1, seed, **params)
        assert chosen.score is not None
        found[chosen.rows] = chosen.score / (40 if params.get("with_replacement") else 1)
    return found


@pytest.mark.parametrize("with_replacement", [False, True])
def test_probabilities_are_the_papers(
    six: Path, with_replacement: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # lhat + lambda d^z with lambda 0.5, z 2: 3, 3.5, 5, 1, 3, 9; their sum is 24.5.
    expected = np.array([3.0, 3.5, 5.0, 1.0, 3.0, 9.0]) / 24.5
    common: dict[str, object] = {"losses": _losses(six), "lambda_": 0.5}
    if with_replacement:
        monkeypatch.setattr("coresift.core.size.Size.resolve", lambda size, *_, **__: size.count)
    found = _probabilities(six, with_replacement=with_replacement, **common)
    seen = found > 0
    assert seen.sum() >= 4
    np.testing.assert_allclose(found[seen], expected[seen], rtol=1e-12)


def test_selection_has_inclusion_probabilities_clusters_and_weights(six: Path) -> None:
    chosen = _select(six, 4, losses=_losses(six), lambda_=0.5)
    # Sum 24.5, 4 rows: 9 is beyond 24.5 / 4; of the other 15.5 a third is 5.17, and 5 is below.
    expected = np.array([3.0, 3.5, 5.0, 1.0, 3.0, 15.5 / 3]) * 3 / 15.5
    assert chosen.score is not None
    assert chosen.cluster is not None
    np.testing.assert_allclose(chosen.score, expected[chosen.rows], rtol=1e-12)
    np.testing.assert_allclose(chosen.weight, 1 / expected[chosen.rows], rtol=1e-12)
    assert chosen.cluster.tolist() == [0 if row < 3 else 1 for row in chosen.rows]
    assert 5 in chosen.rows
    assert chosen.resolved == {"lambda": 0.5, "mix": 0.0, "certain_rows": 1}
    assert chosen.notes == ()


def test_exponent(six: Path) -> None:
    expected = np.array(LOSS).repeat(3) + 2.0 * DISTANCE
    found = _probabilities(six, losses=_losses(six), lambda_=2, exponent=1)
    seen = found > 0
    np.testing.assert_allclose(found[seen], (expected / expected.sum())[seen], rtol=1e-12)


def test_balanced_lambda_gives_both_terms_equal_shares(six: Path) -> None:
    chosen = _select(six, 2, losses=_losses(six), lambda_="balanced")
    assert chosen.resolved["lambda"] == pytest.approx(12.0 / (DISTANCE**2).sum())


def test_auto_lambda(six: Path) -> None:
    # Two occupied clusters, 10 apart, losses 3 and 1: 2 / 10^z.
    for exponent in (1.0, 2.0):
        chosen = _select(six, 2, losses=_losses(six), lambda_="auto", exponent=exponent)
        assert chosen.resolved["lambda"] == pytest.approx(2.0 / 10.0**exponent)
    # The medoids are rows 0 and 3, whose own losses are 1 and 0.
    per_row = _select(six, 2, loss="per_row", lambda_="auto")
    assert per_row.resolved["lambda"] == pytest.approx(1.0 / 100.0)


def test_lambda_is_auto_with_losses_of_clusters_and_balanced_otherwise(six: Path) -> None:
    def settled(**params: Any) -> float:
        return float(_select(six, 2, **params).resolved["lambda"])

    losses = _losses(six)
    assert settled(losses=losses) == settled(losses=losses, lambda_="auto")
    assert settled(loss="per_row") == settled(loss="per_row", lambda_="balanced")
    # nothing to estimate it from: both clusters have the same loss
    flat = _losses(six, cluster=[0, 1], loss=[2.0, 2.0])
    assert settled(losses=flat, lambda_="auto") == 0.0
    assert settled(losses=flat) == settled(losses=flat, lambda_="balanced") > 0.0


def test_auto_lambda_recovers_a_smooth_loss() -> None:
    centroids = np.random.default_rng(0).uniform(size=(400, 2)).astype(np.float32)
    losses = 5.0 * np.linalg.norm(centroids.astype(np.float64), axis=1)
    clustering = SavedClustering(
        Path(),
        Provenance("cluster", "kmeans", {}, 0, [], {}, {}),
        centroids,
        np.ones(400, np.int64),
        np.ones(400),
        np.arange(400),
        400,
    )
    # |difference| <= 5 distance by the triangle inequality, and nearly so along a radius.
    found = hoelder_constant(clustering, losses, 1.0, seed=0)
    assert found is not None
    assert 4.5 < found <= 5.0
    together = replace(clustering, centroids=np.zeros_like(centroids))
    assert hoelder_constant(together, losses, 1.0, seed=0) is None


def test_without_losses_half_is_spread_evenly(six: Path) -> None:
    expected = 0.5 * DISTANCE**2 / (DISTANCE**2).sum() + 0.5 / 6
    found = _probabilities(six)
    seen = found > 0
    np.testing.assert_allclose(found[seen], expected[seen], rtol=1e-12)
    chosen = _select(six, 6)
    assert chosen.rows.tolist() == list(range(6))
    assert chosen.weight.tolist() == [1.0] * 6
    note = "no losses were given: 50% of the probability follows the distances and 50% is spread"
    assert chosen.notes == (f"{note} evenly",)


def test_mix_of_one_is_uniform(six: Path) -> None:
    chosen = _select(six, 3, losses=_losses(six), mix=1)
    np.testing.assert_allclose(chosen.weight, 2.0)


def test_rows_of_no_mass_are_noted(six: Path) -> None:
    chosen = _select(six, 2, mix=0)
    assert chosen.notes[1] == (
        "2 rows with no loss and no distance cannot be drawn; --mix gives such rows a chance"
    )
    filled = _select(six, 5, mix=0)
    assert filled.notes[1] == (
        "only 4 rows have a probability above zero: all were taken, and 1 of the others drawn "
        "uniformly"
    )
    np.testing.assert_allclose(filled.weight.sum(), 6.0)
    flat = _losses(six, cluster=[0, 1], loss=[0.0, 0.0])
    uniform = _select(six, 3, losses=flat, lambda_=0)
    assert uniform.notes == ("all losses and distances are zero: the rows were drawn uniformly",)
    np.testing.assert_allclose(uniform.weight, 2.0)


def test_loss_of_every_row(six: Path) -> None:
    expected = np.array([1.0, 2.0, 0.5, 0.0, 4.0, 2.5]) + DISTANCE**2
    found = _probabilities(six, loss="per_row", lambda_=1)
    seen = found > 0
    np.testing.assert_allclose(found[seen], (expected / expected.sum())[seen], rtol=1e-12)
    doubled = _probabilities(six, loss="per_row * 2", lambda_=2)
    np.testing.assert_allclose(doubled, found, rtol=1e-12)


def test_losses_beyond_memory_go_to_scratch(six: Path) -> None:
    held = _select(six, 3, loss="per_row")
    params = {"loss": "per_row"}
    spilled = choose(
        "sensitivity", six / "dump", 3, params, clustering=six / "clustering", memory=1
    )
    assert held.rows.tolist() == spilled.rows.tolist()
    assert held.weight.tolist() == spilled.weight.tolist()


def test_rows_without_a_loss_are_refused(six: Path) -> None:
    with pytest.raises(InputError) as caught:
        _select(six, 2, loss="holes")
    assert caught.value.message == (
        f"{six}/dump/emb-000.parquet: row 1 of the file (row 1): --loss 'holes' is nan"
    )
    with pytest.raises(InputError, match=r" \(row 0\): --loss '-per_row - 1' is -2$"):
        _select(six, 2, loss="-per_row - 1")


def test_losses_by_id_with_another_name(six: Path) -> None:
    path = _losses(six, id=["d", "a"], nll=LOSS[::-1])
    by_id = _select(six, 3, losses=path, on="id", lambda_=0.5)
    by_cluster = _select(six, 3, losses=_losses(six), lambda_=0.5)
    assert by_id.rows.tolist() == by_cluster.rows.tolist()
    assert by_id.weight.tolist() == by_cluster.weight.tolist()


def test_losses_added_to_the_representatives(six: Path) -> None:
    table = pq.read_table(six / "clustering" / "representatives.parquet")
    assert table.column("cluster").to_pylist() == [0, 1]
    pq.write_table(table.append_column("nll", pa.array(LOSS)), six / "scored.parquet")
    chosen = _select(six, 3, losses=str(six / "scored.parquet"), lambda_=0.5)
    assert chosen.resolved["lambda"] == 0.5


@pytest.mark.parametrize(
    ("columns", "params", "message"),
    [
        ({"cluster": [0], "loss": [1.0]}, {}, "{path}: no loss for 1 of 2 clusters, for example 1"),
        (
            {"cluster": [0, 1, 1], "loss": [1.0] * 3},
            {},
            "{path}: 1 cluster more than once, for example 1",
        ),
        (
            {"cluster": [0, 7, -1], "loss": [1.0] * 3},
            {},
            (
                "{path}: 2 lines of a cluster that is not there, for example 7; "
                "the clusters are 0 to 2"
            ),
        ),
        ({"cluster": [0, 1], "loss": [1.0, -2.0]}, {}, "{path}: the loss of cluster 1 is -2"),
        ({"cluster": [0, 1], "loss": [None, 1.0]}, {}, "{path}: the loss of cluster 0 is nan"),
        (
            {"cluster": [0, 1], "row": [0, 4], "loss": [1.0, 1.0]},
            {},
            "{path}: row 4 is not the representative of cluster 1, which is row 3",
        ),
        ({"loss": [1.0, 1.0]}, {}, "{path}: no column 'cluster' to join by"),
        (
            {"cluster": [0, 1], "a": [1.0, 1.0], "b": [1.0, 1.0]},
            {},
            "{path}: no column 'loss' and 2 columns of numbers: a, b",
        ),
        (
            {"cluster": [0, 1], "loss": [1.0, 1.0]},
            {"losses_column": "nll"},
            "{path}: no column 'nll', which --losses-column names",
        ),
        (
            {"id": ["a", "x"], "loss": [1.0, 1.0]},
            {"on": "id"},
            "{path}: 1 id in 'id' of no representative, for example 'x'",
        ),
        (
            {"id": ["a", "a"], "loss": [1.0, 1.0]},
            {"on": "id"},
            "{path}: 1 id in 'id' more than once, for example 'a'",
        ),
        (
            {"id": ["a"], "loss": [1.0]},
            {"on": "id"},
            "{path}: no loss for 1 of 2 clusters, for example 1",
        ),
    ],
)
def test_losses_that_do_not_fit(
    six: Path, columns: dict[str, Any], params: dict[str, Any], message: str
) -> None:
    path = _losses(six, **columns)
    with pytest.raises(CoresiftError) as caught:
        _select(six, 2, losses=path, **params)
    assert caught.value.message == message.format(path=path)


def test_losses_from_elsewhere(six: Path) -> None:
    own = SavedClustering.open(six / "clustering").provenance
    assert len(_select(six, 2, losses=_losses(six, metadata=own)).rows) == 2
    path = _losses(six, metadata=replace(own, seed=7))
    with pytest.raises(MismatchError) as caught:
        _select(six, 2, losses=path)
    assert caught.value.message == f"{path} was made from another clustering: its seed differs"
    path = _losses(six, metadata=replace(own, fingerprint={"digest": "other"}))
    with pytest.raises(MismatchError, match=r"was made from another input$"):
        _select(six, 2, losses=path)


def test_with_replacement_merges_repeats(six: Path) -> None:
    chosen = _select(six, 6, losses=_losses(six), lambda_=0.5, with_replacement=True)
    assert len(chosen.rows) < 6
    assert chosen.notes == (f"6 draws gave {len(chosen.rows)} distinct rows",)
    expected = np.array([3.0, 3.5, 5.0, 1.0, 3.0, 9.0]) / 24.5
    times = chosen.weight * 6 * expected[chosen.rows]
    np.testing.assert_allclose(times, np.rint(times), rtol=1e-9)
    assert times.sum() == pytest.approx(6)


def test_overflowing_exponent(tmp_path: Path) -> None:
    write_dump(tmp_path / "dump", vector_table(np.array([[0.0], [1e35]], np.float32)))
    centroids = np.zeros((1, 1), np.float32)
    write_clustering(tmp_path / "clustering", tmp_path / "dump", centroids)
    with pytest.raises(ParameterError, match=r"^--exponent 10 overflows at these distances$"):
        _select(tmp_path, 1, exponent=10)


def test_no_clustering(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"^sensitivity needs a clustering$"):
        choose("sensitivity", digits_dump(tmp_path), 5)


@cache
def _following_losses() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Losses of digits that follow k-means clusters, the clusters' own, and d^2."""
    from sklearn.cluster import KMeans

    vectors, _ = digits()
    model = KMeans(40, n_init=1, max_iter=20, random_state=0).fit(vectors)
    squared = ((vectors - model.cluster_centers_[model.labels_]) ** 2).sum(axis=1)
    of_cluster = np.random.default_rng(0).exponential(size=40) ** 2
    noise = np.random.default_rng(1).uniform(0.8, 1.2, size=len(vectors))
    own = of_cluster[model.labels_]
    return own * noise + 0.01 * squared, own, squared.astype(np.float64)


def test_variance_is_below_uniforms_on_digits() -> None:
    loss, own, squared = _following_losses()
    mass = own + 0.01 * squared
    estimates = np.empty((300, 2))
    for seed in range(300):
        for column, masses in enumerate((mass, np.ones_like(mass))):
            drawn = draw_distinct(streamed(masses), 100, generator(seed, "test"))
            estimates[seed, column] = (drawn.weight * loss[drawn.rows]).sum()
    error = estimates.std(axis=0, ddof=1)
    assert error[0] < 0.3 * error[1]
    assert (np.abs(estimates.mean(axis=0) - loss.sum()) <= 3 * error / np.sqrt(300)).all()


def test_each_cluster_gives_the_rows_that_are_expected_of_it(tmp_path: Path) -> None:
    vectors, _ = digits()
    write_dump(tmp_path / "dump", vector_table(vectors), files=2)
    write_clustering(tmp_path / "clustering", tmp_path / "dump", vectors[:30])
    everything = _select(tmp_path, len(vectors))
    assert everything.cluster is not None
    for seed in range(10):
        chosen = _select(tmp_path, 300, seed, mix=1)
        assert chosen.cluster is not None
        expected = np.bincount(everything.cluster) * 300 / len(vectors)
        assert np.abs(np.bincount(chosen.cluster) - expected).max() < 1.0
    assert len({tuple(_select(tmp_path, 300, seed).rows) for seed in range(5)}) == 5
