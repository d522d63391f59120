"""``select bandit``: few rows are scored, few row groups read, and what is kept is good."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from coresift.core.errors import InputError, ParameterError
from coresift.influence.products import Products
from coresift.io.dump import InputOptions
from coresift.io.formats import ParquetTable
from coresift.selection.influences import armrows
from coresift.selection.influences.arms import entropy
from coresift.selection.params.bandit import BanditParams
from tests.data import vector_table, write_dump
from tests.selection.choosing import choose
from tests.selection.saved import write_clustering

ROWS, ARMS, GROUP = 4000, 40, 100


class Planted:
    """Rows of 40 clusters in a row each, of which the first 4 have gradients like the target's."""

    def __init__(self, folder: Path, seed: int = 0, noise: float = 0.3) -> None:
        random = np.random.default_rng(seed)
        self.cluster = np.repeat(np.arange(ARMS), ROWS // ARMS)
        centers = random.normal(size=(ARMS, 6)) * 30.0
        vectors = (centers[self.cluster] + random.normal(size=(ROWS, 6))).astype(np.float32)
        self.score = np.where(self.cluster < 4, 2.0, random.normal(size=ARMS)[self.cluster] * 0.4)
        self.score += random.normal(size=ROWS) * noise
        gradient = np.stack([self.score, random.normal(size=ROWS)], axis=1).astype(np.float32)
        flat = pa.array(gradient.reshape(-1))
        table = vector_table(vectors, value=self.score, id=np.arange(ROWS) * 7)
        table = table.append_column("g", pa.FixedSizeListArray.from_arrays(flat, 2))
        self.source = write_dump(folder / "dump", table, files=2, row_group_size=GROUP)
        target = vector_table(np.zeros((3, 6), np.float32))
        ones = pa.FixedSizeListArray.from_arrays(pa.array(np.tile([1.0, 0.0], 3), pa.float32()), 2)
        self.target = write_dump(folder / "target", target.append_column("g", ones))
        self.options = InputOptions(embedding="embedding")
        self.clustering = write_clustering(
            folder / "clusters", self.source, centers, options=self.options
        )

    def choose(self, size: str | int = "5%", **params: Any) -> Any:
        return choose(
            "bandit",
            self.source,
            size,
            params,
            options=self.options,
            clustering=self.clustering,
        )

    @property
    def by_gradient(self) -> dict[str, Any]:
        return {"gradient": ["g"], "target": [str(self.target)]}

    def kept(self, rows: NDArray[np.int64]) -> float:
        """Mean score of the rows, of that of as many best."""
        best = np.sort(self.score)[::-1][: len(rows)]
        return float(self.score[rows].mean() / best.mean())


@pytest.fixture
def planted(tmp_path: Path) -> Planted:
    return Planted(tmp_path)


@pytest.mark.parametrize("reward", ["hits", "mean"])
def test_a_quarter_of_the_rows_gives_nearly_the_best_and_more_clusters(
    planted: Planted, reward: str
) -> None:
    chosen = planted.choose(score="value", reward=reward)
    assert chosen.resolved["scored"] == ROWS // 4
    assert planted.kept(chosen.rows) > 0.9
    exact = np.argsort(-planted.score)[: len(chosen.rows)]
    assert entropy(chosen.cluster) > entropy(planted.cluster[exact])
    assert planted.kept(planted.choose(score="value", reward=reward, diversity=0).rows) > 0.97


def test_columns(planted: Planted) -> None:
    chosen = planted.choose(score="value")
    assert chosen.score.tolist() == planted.score[chosen.rows].tolist()
    assert chosen.cluster.tolist() == planted.cluster[chosen.rows].tolist()
    assert sorted(chosen.rank) == list(range(200))
    best = chosen.rows[chosen.rank == 0][0]
    assert planted.score[best] == max(chosen.score[chosen.cluster == planted.cluster[best]])
    plain = planted.choose(score="value", diversity=0)
    assert (np.diff(plain.score[np.argsort(plain.rank)]) <= 0).all()
    assert plain.notes[0] == "1,000 of 4,000 rows were scored (25.0%)"
    assert " of 40 clusters were chosen from, with an entropy of " in plain.notes[1]


def test_all_scored_without_diversity_is_top_k(planted: Planted) -> None:
    chosen = planted.choose(score="value", most="100%", diversity=0)
    assert (
        chosen.rows.tolist()
        == choose("top-k", planted.source, 200, {"score": "value"}).rows.tolist()
    )
    assert "40 clusters drawn from to the last row" in chosen.notes


def test_influence_is_computed_for_the_rows_drawn_alone(
    planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[NDArray[np.int64]] = []

    def take(self: Products, rows: NDArray[np.int64], plain: Any = Products.take) -> Any:
        asked.append(rows)
        return plain(self, rows)

    monkeypatch.setattr(Products, "take", take)
    chosen = planted.choose(**planted.by_gradient)
    rows = np.concatenate(asked)
    assert len(rows) == len(set(rows.tolist())) == chosen.resolved["scored"] == 1000
    assert chosen.score == pytest.approx(planted.score[chosen.rows], rel=1e-6)
    assert set(chosen.rows) <= set(rows)
    # the same scores from a column lead to the same rows
    same = planted.choose(score="value")
    assert same.rows.tolist() == chosen.rows.tolist()
    assert same.rank.tolist() == chosen.rank.tolist()


def _groups_read(monkeypatch: pytest.MonkeyPatch, column: str) -> list[tuple[str, int]]:
    """Row groups of which a column is read from here on, as they are read."""
    read: list[tuple[str, int]] = []

    def batches(
        self: ParquetTable,
        columns: Sequence[str],
        groups: Sequence[int],
        rows: int,
        plain: Any = ParquetTable.batches,
    ) -> Iterator[pa.RecordBatch]:
        if column in columns:
            read.extend((self.ref.name, group) for group in groups)
        return plain(self, columns, groups, rows)  # type: ignore[no-any-return]

    monkeypatch.setattr(ParquetTable, "batches", batches)
    return read


@pytest.mark.parametrize("by", ["score", "gradient"])
def test_row_groups_that_are_not_needed_are_not_read(
    by: str, planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster fills a row group, and only the 12 largest or first are drawn from."""
    column = "value" if by == "score" else "g"
    read = _groups_read(monkeypatch, column)
    params = {"score": "value"} if by == "score" else planted.by_gradient
    chosen = planted.choose(50, most=120, per_round=30, **params)
    of_dump = [item for item in read if "/dump/" in item[0]]
    assert len(of_dump) == len(set(of_dump)) == 12
    assert "28 clusters never drawn from: the smallest" in chosen.notes


def test_orders_are_the_same_however_much_of_them_is_held(
    planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = planted.choose(score="value")
    monkeypatch.setattr(armrows, "_HELD", 0)
    in_parts = planted.choose(score="value")
    assert whole.rows.tolist() == in_parts.rows.tolist()
    assert whole.rank.tolist() == in_parts.rank.tolist()


def test_a_threshold_ends_it(planted: Planted) -> None:
    chosen = planted.choose(100, score="value", threshold=1.8, per_round=50)
    assert (chosen.score >= 1.8).all()
    scored = chosen.resolved["scored"]
    assert isinstance(scored, int)
    assert 400 < scored < 750  # each cluster once, and then the four
    assert chosen.resolved["rounds"] == scored // 50


def test_a_threshold_that_too_few_reach(planted: Planted) -> None:
    chosen = planted.choose(100, score="value", threshold=2.6, most=1000)
    below = int((chosen.score < 2.6).sum())
    assert 0 < below < 100
    assert chosen.score[chosen.rank < 100 - below].min() >= 2.6
    assert chosen.notes[-1] == (
        f"{100 - below} rows that reach --threshold 2.6 were found, and {below} below it were "
        "taken too"
    )


def test_alpha_draws_more_evenly(planted: Planted) -> None:
    drawn = [
        planted.choose(score="value", alpha=alpha, diversity=0).resolved["entropy"]
        for alpha in (0.0, 30.0)
    ]
    assert drawn[0] < drawn[1]


def test_a_row_without_a_score(tmp_path: Path) -> None:
    vectors = np.zeros((20, 2), np.float32)
    value = [1.0] * 13 + [None] + [1.0] * 6
    source = write_dump(tmp_path / "dump", vector_table(vectors, value=value), files=2)
    clustering = write_clustering(tmp_path / "c", source, np.zeros((1, 2)))
    with pytest.raises(InputError, match=r"row 3 of the file \(row 13\): --score 'value' is null"):
        choose("bandit", source, 20, {"score": "value"}, clustering=clustering)
    value[13] = np.inf
    endless = write_dump(tmp_path / "inf", vector_table(vectors, value=value), files=2)
    clustering = write_clustering(tmp_path / "d", endless, np.zeros((1, 2)))
    with pytest.raises(InputError, match=r"--score 'value' is inf, not a finite number$"):
        choose("bandit", endless, 20, {"score": "value"}, clustering=clustering)


def test_rows_without_a_gradient_are_left_out_where_such_rows_are_dropped(tmp_path: Path) -> None:
    gradients = [[float(i), 0.0] if i % 5 else None for i in range(40)]
    table = vector_table(np.zeros((40, 2), np.float32))
    table = table.append_column("g", pa.array(gradients, pa.list_(pa.float32(), 2)))
    source = write_dump(tmp_path / "dump", table)
    ones = table.slice(1, 1)
    target = write_dump(tmp_path / "target", ones)
    options = InputOptions(embedding="embedding", invalid="drop")
    clustering = write_clustering(tmp_path / "c", source, np.zeros((1, 2)), options=options)
    params = {"gradient": "g", "target": str(target)}
    chosen = choose("bandit", source, 32, params, options=options, clustering=clustering)
    assert (chosen.rows % 5 != 0).all()
    assert chosen.notes[-1] == "8 rows drawn without a gradient left out"
    with pytest.raises(InputError, match="size 33 is more than the 32 rows that have a score"):
        choose("bandit", source, 33, params, options=options, clustering=clustering)
    options = InputOptions(embedding="embedding")
    with pytest.raises(InputError, match=r"row 0 of the file \(row 0\): the vector in 'g' is null"):
        choose("bandit", source, 33, params, options=options, clustering=clustering)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "bandit needs gradients or a score"),
        ({"gradient": "g"}, "influence needs a target"),
        (
            {"score": "a", "gradient": "g"},
            "--score is a source of the score, and --gradient is about another",
        ),
        (
            {"score": "a", "hessian": "fisher"},
            "--score is a source of the score, and --hessian is about another",
        ),
        ({"score": "a", "batch": 1.5}, "--batch 1.5 is not a whole number"),
        ({"score": "a", "batch": 0}, "--batch 0 is less than 1"),
        ({"score": "a", "per_round": 2.5}, "--per-round 2.5 is not a whole number"),
        ({"score": "a", "alpha": -1}, "--alpha -1 is less than 0"),
        ({"score": "a", "top": "5%", "reward": "mean"}, "--top is about --reward hits"),
        ({"score": "a", "top": "50"}, "--top '50' is not a share"),
        ({"score": "a", "most": "-3"}, "size '-3' is neither a positive count nor a share"),
    ],
)
def test_options_out_of_bounds(params: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        BanditParams.build(params, "bandit")
    assert caught.value.message.startswith(message)


def test_more_than_may_be_scored(planted: Planted) -> None:
    with pytest.raises(ParameterError, match=r"^--most 10% lets 400 rows be scored, and -n asks"):
        planted.choose(401, score="value", most="10%")
