"""probability-coverage: a plain reference on a model's probabilities, starts and refusals."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from coresift.core.errors import InputError, ParameterError
from coresift.io.dump import InputOptions
from tests.data import digits, vector_table, write_dump
from tests.selection.choosing import choose
from tests.selection.test_k_center import distances, order, plain


@cache
def predicted() -> NDArray[np.float32]:
    """Probabilities of the digits by a logistic regression that has seen 200 of them."""
    from sklearn.linear_model import LogisticRegression

    vectors, labels = digits()
    model = LogisticRegression(max_iter=1000).fit(vectors[:200], labels[:200])
    found: NDArray[np.float32] = model.predict_proba(vectors).astype(np.float32)
    return found


def dump(folder: Path, vectors: NDArray[np.floating], files: int = 1) -> Path:
    """Vectors beside the digits' labels, of which every tenth is missing."""
    labels = [None if i % 10 == 7 else int(c) for i, c in enumerate(digits()[1][: len(vectors)])]
    return write_dump(folder / "probs", vector_table(vectors, label=labels), files=files)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_as_the_plain_procedure(kind: type[np.floating], tmp_path: Path) -> None:
    probs = predicted().astype(kind)
    found = choose("probability-coverage", dump(tmp_path, probs, files=3), 60)
    picks = order(found)
    wide = probs.astype(np.float32)
    # one row of each predicted class, and from there the farthest, the first of equals
    assert sorted(wide[picks[:10]].argmax(axis=1).tolist()) == list(range(10))
    far = distances(wide)
    assert picks[10:] == plain(far, picks[:10], 50)
    assert found.score is not None
    assert np.isinf(found.score).tolist() == np.isin(found.rows, picks[:10]).tolist()
    assert found.weight.sum() == len(probs)
    assert found.resolved["start"] == found.resolved["classes"] == 10
    assert found.resolved["radius"] == pytest.approx(far[:, picks].min(axis=1).max())


def test_from_labelled_rows(tmp_path: Path) -> None:
    source = dump(tmp_path, predicted())
    held = [5, 900, 33]
    pq.write_table(pa.table({"row": held}), tmp_path / "labelled.parquet")
    given = {"given": str(tmp_path / "labelled.parquet")}
    found = choose("probability-coverage", source, 40, given)
    assert order(found) == plain(distances(predicted()), held, 40)
    assert "start" not in found.resolved


def test_starts_by_label(tmp_path: Path) -> None:
    source = dump(tmp_path, predicted())
    labels = digits()[1]
    found = choose("probability-coverage", source, 60, {"label": "label", "shots": 3}, seed=1)
    start = order(found)[:30]
    assert np.bincount(labels[start]).tolist() == [3] * 10
    assert (np.array(start) % 10 != 7).all()
    # each class has one before any has two
    assert np.bincount(labels[start[:10]]).tolist() == [1] * 10
    assert order(found)[30:] == plain(distances(predicted()), start, 30)
    few = choose("probability-coverage", source, 4, {"label": "label", "shots": 3}, seed=1)
    assert order(few) == start[:4]
    other = choose("probability-coverage", source, 60, {"label": "label", "shots": 3}, seed=2)
    assert order(other)[:30] != start


def test_each_row_of_a_class_is_as_likely_to_start_from(tmp_path: Path) -> None:
    probs = np.eye(3, dtype=np.float32)[np.arange(30) % 3]
    source = dump(tmp_path, probs)
    starts = [choose("probability-coverage", source, 3, seed=seed).rows for seed in range(200)]
    counts = np.bincount(np.concatenate(starts), minlength=30)
    assert counts.sum() == 600
    # 20 expected of each; chi-squared with 27 degrees of freedom stays below 55 but once in 1,000
    assert ((counts - 20.0) ** 2 / 20.0).sum() < 55.0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([0.5, 0.2, 0.2], r"adds up to 0\.9, not to 1 within 0\.001$"),
        ([-0.5, 0.5, 1.0], r"holds -0\.5, less than 0$"),
    ],
)
def test_other_vectors_are_refused(value: list[float], message: str, tmp_path: Path) -> None:
    probs = np.full((90, 3), 1 / 3, np.float32)
    probs[[40, 80]] = value
    source = dump(tmp_path, probs, files=2)
    where = r"row 40 of the file \(row 40\)|emb-000\.parquet.* \(row 40\)"
    with pytest.raises(InputError, match=f"({where}).*: no probabilities, the vector {message}"):
        choose("probability-coverage", source, 5)
    probs[[40, 80]] = [0.3336, 0.3336, 0.3336]
    assert len(choose("probability-coverage", dump(tmp_path / "near", probs), 5).rows) == 5


def test_options_that_do_not_go_together(tmp_path: Path) -> None:
    source = dump(tmp_path, predicted())
    for params, message in (
        ({"shots": 1.5}, "--shots 1.5 is not a whole number"),
        ({"given": "x", "label": "label"}, "--label is about the rows to start from"),
        ({"given": "x", "shots": 2}, "--shots is about the rows to start from"),
        ({"label": "kind"}, "--label: no column 'kind'"),
    ):
        with pytest.raises(ParameterError, match=message):
            choose("probability-coverage", source, 5, params)
    with pytest.raises(ParameterError, match="--metric cosine scales vectors"):
        choose("probability-coverage", source, 5, options=InputOptions(metric="cosine"))
    nothing = vector_table(predicted(), label=pa.nulls(len(predicted()), pa.int64()))
    with pytest.raises(InputError, match="--label 'label': no row has a value"):
        choose(
            "probability-coverage", write_dump(tmp_path / "none", nothing), 5, {"label": "label"}
        )
