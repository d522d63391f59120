"""The verb cluster writes what the contract says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import coresift
from coresift.clustering.saved import SavedClustering
from coresift.core.errors import ParameterError
from tests.clustering.rows import brute_force
from tests.data import digits, digits_dump, gaussians, vector_table, write_dump


def centroids(folder: Path) -> Any:
    column = pq.read_table(folder / "centroids.parquet").column("centroid").combine_chunks()
    return column.flatten().to_numpy().reshape(len(column), -1)


def test_a_misspelt_option_is_refused(tmp_path: Path) -> None:
    dump = digits_dump(tmp_path / "emb")
    with pytest.raises(ParameterError, match=r"^no option 'treads'$") as caught:
        coresift.cluster(dump, k=3, output=tmp_path / "c", treads=1)  # type: ignore[call-arg]
    assert caught.value.hint == "did you mean 'threads'?"


def test_files_and_types(tmp_path: Path) -> None:
    digits_dump(tmp_path / "emb", files=3)
    result = coresift.cluster(tmp_path / "emb", k=30, output=tmp_path / "c")
    table = pq.read_table(tmp_path / "c" / "centroids.parquet")
    types = {field.name: str(field.type) for field in table.schema}
    assert types == {
        "cluster": "int32",
        "size": "int64",
        "cost": "double",
        "medoid": "int64",
        "centroid": "fixed_size_list<element: float>[64]",
    }
    rows = ds.dataset(tmp_path / "c" / "assignments").to_table()
    assert {field.name: str(field.type) for field in rows.schema} == {
        "row": "int64",
        "cluster": "int32",
        "distance": "float",
    }
    labels, squared = brute_force(digits()[0], centroids(tmp_path / "c"))
    assert rows["row"].to_pylist() == list(range(1797))
    assert rows["cluster"].to_pylist() == labels.tolist()
    assert np.allclose(rows["distance"].to_numpy(), np.sqrt(squared), rtol=1e-6)
    assert result.cost == pytest.approx(squared.sum(), rel=1e-12)
    assert table["cost"].to_numpy().sum() == pytest.approx(result.cost, rel=1e-12)
    assert SavedClustering.open(tmp_path / "c").rows == 1797


@pytest.mark.parametrize("kind", ["fixed", "list", "large_list", "float64", "float16"])
def test_representatives_are_the_medoids_rows_as_they_were(kind: str, tmp_path: Path) -> None:
    vectors = gaussians(300, 5, 6).astype(np.float16).astype(np.float64)
    dtype = {"float64": np.float64, "float16": np.float16}.get(kind, np.float32)
    table = vector_table(vectors.astype(dtype), name=[f"n{row}" for row in range(300)])
    if kind in {"list", "large_list"}:
        make = pa.list_ if kind == "list" else pa.large_list
        lists = pa.array([row.astype(np.float32) for row in vectors], make(pa.float32()))
        table = table.set_column(1, "embedding", lists)
    write_dump(tmp_path / "emb", table, files=3)
    coresift.cluster(tmp_path / "emb", k=6, output=tmp_path / "c", metric="cosine")
    shown = pq.read_table(tmp_path / "c" / "representatives.parquet")
    medoid = pq.read_table(tmp_path / "c" / "centroids.parquet")["medoid"].to_numpy()
    assert shown["row"].to_pylist() == sorted(medoid.tolist())
    assert medoid[shown["cluster"].to_numpy()].tolist() == shown["row"].to_pylist()
    expected = table.take(shown["row"].combine_chunks())
    assert shown.select(["name", "embedding"]).equals(expected)


def test_a_filter_and_dropped_rows_keep_their_ids(tmp_path: Path) -> None:
    vectors = gaussians(200, 4, 4)
    vectors[17] = np.nan
    write_dump(tmp_path / "emb", vector_table(vectors, part=np.arange(200) % 2), files=2)
    result = coresift.cluster(
        tmp_path / "emb", k=4, output=tmp_path / "c", where="part == 1", invalid="drop"
    )
    rows = ds.dataset(tmp_path / "c" / "assignments").to_table()["row"].to_pylist()
    assert rows == [row for row in range(200) if row % 2 and row != 17]
    assert (result.rows, result.dropped) == (99, 1)
    assert "1 rows were left out, their vectors being invalid" in result.notes


def test_unchanged_notes_say_what_was_sampled(tmp_path: Path) -> None:
    digits_dump(tmp_path / "emb")
    result = coresift.cluster(
        tmp_path / "emb", k=10, output=tmp_path / "c", train_rows=900, seeding_rows=300
    )
    assert result.notes == (
        "trained on 900 of 1,797 rows, drawn uniformly",
        "k-means++ looked at 300 of 900 rows, drawn uniformly",
    )
