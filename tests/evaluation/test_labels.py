"""Classes of rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from coresift.core.errors import ParameterError
from coresift.evaluation.base import RowSet
from coresift.evaluation.labels import balance
from coresift.io import labels as module
from coresift.io.dump import open_dump
from coresift.io.labels import check_label, read_labels
from tests.data import gaussians, vector_table, write_dump
from tests.evaluation.cases import everything, resources

CLASSES = [2, 0, 0, 1, None, 2, 1, 0]
EXPECTED = [0, 1, 1, 2, -1, 0, 2, 1]
COLUMNS = {
    "int": pa.array(CLASSES, pa.int16()),
    "float": pa.array([None if c is None else c / 2 for c in CLASSES]),
    "nan": pa.array([np.nan if c is None else c / 2 for c in CLASSES], from_pandas=False),
    "text": pa.array([None if c is None else "abc"[c] for c in CLASSES]),
    "dictionary": pa.array([None if c is None else "abc"[c] for c in CLASSES]).dictionary_encode(),
    "date": pa.array(CLASSES, pa.int32()).cast(pa.date32()),
}


@pytest.mark.parametrize("files", [1, 3, 8])
@pytest.mark.parametrize("name", COLUMNS)
def test_codes_by_first_row(tmp_path: Path, name: str, files: int) -> None:
    table = vector_table(gaussians(8, 3, 2)).append_column("label", COLUMNS[name])
    dump = open_dump([write_dump(tmp_path, table, files=files)])
    check_label(dump, "label")
    with resources(threads=2) as lent:
        found = read_labels(dump, "label", None, lent.engine, lent.progress)
        kept = np.array([0, 1, 1, 0, 1, 1, 1, 1], bool)
        of_kept = read_labels(dump, "label", kept, lent.engine, lent.progress)
    assert found.codes.tolist() == EXPECTED
    assert (found.count.tolist(), found.missing) == ([2, 3, 2], 1)
    assert list(found.values) == table.column("label").take([0, 1, 3]).to_pylist()
    assert of_kept.codes.tolist() == [-1, 0, 0, -1, -1, 1, 2, 0]
    assert (of_kept.count.tolist(), of_kept.missing) == ([3, 1, 1], 1)


def test_truth_values(tmp_path: Path) -> None:
    table = vector_table(gaussians(4, 3, 2), flag=[True, False, False, True])
    dump = open_dump([write_dump(tmp_path, table, files=2)])
    with resources() as lent:
        assert read_labels(dump, "flag", None, lent.engine, lent.progress).codes.tolist() == [
            0,
            1,
            1,
            0,
        ]


def test_known_classes_come_first(tmp_path: Path) -> None:
    table = vector_table(gaussians(4, 3, 2), label=["b", "d", "a", "b"])
    dump = open_dump([write_dump(tmp_path, table, files=2)])
    with resources() as lent:
        found = read_labels(dump, "label", None, lent.engine, lent.progress, ("a", "b", "c"))
    assert (found.codes.tolist(), found.count.tolist()) == ([1, 3, 0, 1], [1, 2, 0, 1])
    assert found.values == ("a", "b", "c", "d")


def test_balance() -> None:
    codes = np.array([0, 0, 1, 2, 3, -1, 3, 2, 1], np.int32)
    labels = module.Labels(codes, np.bincount(codes[codes >= 0]).astype(np.int64), 1)
    sets = [
        everything(9),
        RowSet(np.array([0, 2, 3, 4]), np.array([1.0, 50.0, 1.0, 1.0])),
        RowSet(np.array([0, 1, 2, 5]), np.ones(4)),
        RowSet(np.array([2, 8]), np.ones(2)),
        RowSet(np.array([5]), np.ones(1)),
    ]
    found = balance(labels, sets)
    thirds = -(2 / 3) * np.log(2 / 3) - np.log(1 / 3) / 3
    expected = [np.log(4), np.log(4), thirds, 0.0, 0.0]
    assert found["label_entropy"] == pytest.approx(expected)
    assert found["label_min_share"] == pytest.approx([0.25, 0.25, 0.0, 0.0, 0.0])
    assert not np.signbit(found["label_entropy"]).any()


def test_what_cannot_be_a_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = pa.nulls(8, pa.int64())
    table = vector_table(gaussians(8, 3, 2), id=range(8)).append_column("none", nothing)
    dump = open_dump([write_dump(tmp_path, table, files=2)])
    with pytest.raises(ParameterError) as caught:
        check_label(dump, "klass")
    assert caught.value.message == f"--label: no column 'klass' in {dump.source}"
    assert caught.value.hint == "the columns are id, embedding, none"
    with pytest.raises(ParameterError) as caught:
        check_label(dump, "embedding")
    assert caught.value.message.startswith("--label: column 'embedding' is fixed_size_list<")
    assert caught.value.message.endswith(", not one value per row")
    monkeypatch.setattr(module, "_MOST_CLASSES", 7)
    with resources() as lent:
        with pytest.raises(ParameterError) as caught:
            read_labels(dump, "none", None, lent.engine, lent.progress)
        assert caught.value.message == "--label 'none': no row has a value"
        with pytest.raises(ParameterError) as caught:
            read_labels(dump, "id", None, lent.engine, lent.progress)
    assert caught.value.message == "--label 'id' has more than 7 different values"
    assert caught.value.hint == "name a column of classes, not of ids"
