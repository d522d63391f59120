"""Deduplication as users run it: its second output, and replay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from coresift.api.replay import replay
from coresift.api.select import SelectResult, select
from coresift.core.errors import OutputError
from coresift.io.provenance import find_provenance
from tests.data import digits, digits_dump, vector_table, write_dump


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    return digits_dump(tmp_path / "dump", files=3)


def _dedup(dump: Path, folder: Path, *, overwrite: bool = False, **params: object) -> SelectResult:
    return select(
        "dedup", dump, output=folder / "kept", params={"threshold": 0.95, **params},
        overwrite=overwrite, ids_only=True,
    )  # fmt: skip


def test_the_dropped_rows_are_written_too(tmp_path: Path, dump: Path) -> None:
    pairs = tmp_path / "pairs.parquet"
    result = _dedup(dump, tmp_path, pairs=str(pairs))
    assert result.weight_sum == result.rows_in == 1797
    dropped = pq.read_table(pairs)
    assert dropped.column_names == ["row", "duplicate_of", "similarity"]
    assert dropped.num_rows == 1797 - result.rows_out == result.resolved["dropped"]
    kept = pq.read_table(tmp_path / "kept" / "part-00000.parquet")["row"].to_numpy()
    assert np.isin(dropped["duplicate_of"].to_numpy(), kept).all()
    provenance = find_provenance(pairs)
    assert provenance is not None
    assert provenance.method == "dedup"
    # where it was written is not part of what was done
    assert provenance.params["pairs"] is None


def test_neither_output_where_one_cannot_be_written(tmp_path: Path, dump: Path) -> None:
    pairs = tmp_path / "pairs.parquet"
    pairs.write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        _dedup(dump, tmp_path, pairs=str(pairs))
    assert pairs.read_text() == "mine"
    with pytest.raises(OutputError, match="the same place as -o, or inside it"):
        _dedup(dump, tmp_path, pairs=str(tmp_path / "kept" / "pairs.parquet"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dump", "pairs.parquet"]


def test_replay(tmp_path: Path, dump: Path) -> None:
    other = write_dump(tmp_path / "tests", vector_table(digits()[0][::50]))
    pairs = tmp_path / "pairs.parquet"
    _dedup(dump, tmp_path, pairs=str(pairs), against=str(other))
    again = replay(tmp_path / "kept", output=tmp_path / "again")
    assert again.identical
    assert pq.read_table(pairs).num_rows > 0
