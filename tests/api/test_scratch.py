"""Vectors that are kept for the next command are not decoded again, and give the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from coresift.api.cluster import cluster
from coresift.api.evaluate import evaluate
from coresift.api.select import select
from coresift.io import vectors
from coresift.selection import base
from tests.data import digits_dump


def commands(dump: Path, folder: Path, **options: Any) -> dict[str, Callable[[], object]]:
    """Commands that read all vectors, and something of what they found."""
    clusters = folder / "clusters"
    return {
        "cluster": lambda: cluster([dump], k=10, output=clusters, **options).cost,
        "again": lambda: cluster([dump], k=20, output=folder / "more", **options).cost,
        "dedup": lambda: (
            select(
                "dedup",
                [dump],
                output=folder / "distinct.parquet",
                params={"threshold": 0.95},
                clusters=clusters,
                ids_only=True,
                **options,
            ).rows_out
        ),
        "evaluate": lambda: (
            evaluate(
                folder / "distinct.parquet", full=[dump], clusters=clusters, repeats=1, **options
            ).metrics
        ),
    }


def test_kept_vectors_serve_the_next_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = digits_dump(tmp_path / "emb", files=2)
    plain = {name: run() for name, run in commands(dump, tmp_path / "plain").items()}
    scratch = tmp_path / "scratch"
    kept = commands(dump, tmp_path / "kept", scratch=scratch, keep_scratch=True)
    found = {"cluster": kept.pop("cluster")()}
    size = sum(path.stat().st_size for path in scratch.rglob("vectors"))
    assert size == 1797 * 64 * 4

    def refuse(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(vectors, "vector_batches", refuse)
    monkeypatch.setattr(base, "vector_batches", refuse)
    found |= {name: run() for name, run in kept.items()}
    assert found == plain
    with pytest.raises(AssertionError, match="decoded again"):
        commands(dump, tmp_path / "other", scratch=scratch, keep_scratch=True, where="label == 3")[
            "again"
        ]()
    with pytest.raises(AssertionError, match="decoded again"):
        commands(dump, tmp_path / "other", scratch=scratch)["again"]()
    files = [tmp_path / side / "distinct.parquet" for side in ("plain", "kept")]
    assert pq.read_table(files[0]).equals(pq.read_table(files[1]))
    assert len(list(scratch.iterdir())) == 2
