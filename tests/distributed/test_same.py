"""A cluster gives what one machine gives: clusterings, selections, evaluations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import coresift
from coresift.clustering import output
from coresift.distributed.engine import RayEngine
from coresift.distributed.scratch import RemoteScratch
from coresift.io import dump as dump_module
from coresift.io import subset, writer
from coresift.selection.draws import ranking
from coresift.selection.registry import METHODS, Method
from tests.data import digits_dump, vector_table, write_dump
from tests.selection.choosing import choose
from tests.selection.test_contract import _choose, _same

pytestmark = pytest.mark.xdist_group("ray")


def on(cluster: Any) -> dict[str, Any]:
    """Options of a run with two workers."""
    return {"engine": "ray", "ray_address": cluster.address, "threads": 2, "cpus_per_worker": 1}


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dump_module, "_SHARD_BYTES", 1)


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_every_method(method: Method, tmp_path: Path, engine: RayEngine) -> None:
    here = _choose(method, tmp_path / "a", files=3)
    there = _choose(method, tmp_path / "b", files=3, engine=engine)
    assert _same(here, there)


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize(
    "more",
    [
        {"draw": "weighted"},
        {"draw": "softrank", "per": "label"},
        {"draw": "softmax", "threshold": 9},
    ],
    ids=str,
)
def test_drawing_rules(
    more: dict[str, object], tmp_path: Path, engine: RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "_SAMPLE", 30)
    here = _choose(METHODS["top-k"], tmp_path / "a", files=3, more=more)
    there = _choose(METHODS["top-k"], tmp_path / "b", files=3, more=more, engine=engine)
    assert _same(here, there)


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize(
    "params",
    [
        {"hessian": "fisher", "aggregate": "max"},
        {"hessian": "kfac", "layer": "2x2", "aggregate": "round-robin", "similarity": "cosine"},
        {"hessian": "diagonal", "hessian_rows": 200, "draw": "softmax"},
    ],
    ids=str,
)
def test_influence(params: dict[str, object], tmp_path: Path, engine: RayEngine) -> None:
    method = METHODS["influence"]
    here = _choose(method, tmp_path / "a", files=3, more=params)
    there = _choose(method, tmp_path / "b", files=3, more=params, engine=engine)
    assert _same(here, there)


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("hessian", ["exact", "kfac"])
def test_influence_by_a_probe(hessian: str, tmp_path: Path, engine: RayEngine) -> None:
    dump = digits_dump(tmp_path / "dump", files=3, row_group_size=100)
    for target in (dump / "emb-000.parquet", "self"):
        params: dict[str, object] = {"label": "label", "target": target, "hessian": hessian}
        here = choose("influence", dump, 40, params)
        there = choose("influence", dump, 40, params, engine=engine)
        assert _same(here, there)


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize(
    "params",
    [
        {"k": 20},
        {"k": 20, "metric": "cosine", "seeding": "rs-k-means++"},
        {"k": 20, "seeding": "k-means||"},
        {"k": 20, "seeding": "afk-mc2", "where": "label < 7"},
        {"k": 20, "seeding": "random", "train_rows": 500},
        {"k": 20, "kernel": "faiss"},
        {"k": 6, "method": "bisecting"},
        {"k": 20, "method": "minibatch"},
        {"k": (30, 10, 3), "method": "hierarchical", "resamples": 1},
    ],
    ids=str,
)
def test_clusterings(params: dict[str, Any], tmp_path: Path, cluster: Any) -> None:
    dump = digits_dump(tmp_path / "dump", files=3, row_group_size=100)
    params = {"seed": 1, "device": "cpu", "batch_rows": 40, **params}
    here = coresift.cluster(dump, output=tmp_path / "here", **params)
    there = coresift.cluster(
        dump,
        output=tmp_path / "there",
        **on(cluster),
        **params,
    )
    assert (here.cost, here.iterations) == (there.cost, there.iterations)
    names = sorted(path.relative_to(tmp_path / "here") for path in (tmp_path / "here").rglob("*"))
    assert len(names) >= 5
    for name in names:
        if name.suffix == ".parquet":
            assert (tmp_path / "here" / name).read_bytes() == (
                tmp_path / "there" / name
            ).read_bytes()


@pytest.mark.parametrize("by", ["nearest", "kernel", "cluster"])
def test_weights(by: str, tmp_path: Path, cluster: Any) -> None:
    dump = digits_dump(tmp_path / "dump", files=3, row_group_size=100)
    coresift.select("random", dump, size=50, params={"by": "label"}, output=tmp_path / "some")
    clusters = None
    if by == "cluster":
        clusters = tmp_path / "clusters"
        coresift.cluster(dump, k=30, output=clusters)
    for place, params in (("here.parquet", {}), ("there.parquet", on(cluster))):
        coresift.weights(
            dump,
            subset=tmp_path / "some",
            weights="label",
            by=by,
            clusters=clusters,
            output=tmp_path / place,
            **params,
        )
    assert (tmp_path / "here.parquet").read_bytes() == (tmp_path / "there.parquet").read_bytes()


@pytest.mark.parametrize("where", [None, "label < 7"])
def test_gradients_of_a_store(where: str | None, tmp_path: Path, cluster: Any) -> None:
    dump = digits_dump(tmp_path / "dump", files=3, row_group_size=100)
    generator = np.random.default_rng(0)
    for name, rows in (("pool.npy", 1797), ("target.npy", 20)):
        np.save(tmp_path / name, generator.normal(size=(rows, 30)).astype(np.float16))
    for place, options in (("here.parquet", {}), ("there.parquet", on(cluster))):
        params = {
            "gradient": str(tmp_path / "pool.npy"),
            "target": str(tmp_path / "target.npy"),
            "hessian": "fisher",
        }
        coresift.select(
            "influence", dump, size=100, params=params, output=tmp_path / place, where=where,
            **options,
        )  # fmt: skip
    assert (tmp_path / "here.parquet").read_bytes() == (tmp_path / "there.parquet").read_bytes()


def test_workers_write_the_parts_of_large_results(
    tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_PART_BYTES", 1)
    rows = 300_000
    vectors = np.random.default_rng(3).normal(size=(rows, 2)).astype(np.float32)
    names = [f"row {index}" * (1 + index % 3) for index in range(rows)]
    dump = write_dump(tmp_path / "dump", vector_table(vectors, name=names), files=2)
    opened: list[str] = []

    class Watched(writer.PartWriter):
        def _open(self) -> None:
            super()._open()
            opened.append(self._path.name)

    for place, params in (("here", {}), ("there", on(cluster))):
        if place == "there":
            # what this process writes on a cluster
            monkeypatch.setattr(subset, "PartWriter", Watched)
            monkeypatch.setattr(output, "PartWriter", Watched)
        options: dict[str, Any] = {"where": "name != 'row 12'", **params}
        coresift.cluster(dump, k=10, iterations=1, output=tmp_path / place / "clusters", **options)
        coresift.select("random", dump, size="90%", output=tmp_path / place / "some", **options)
    assert set(opened) == {"centroids.parquet", "representatives.parquet"}
    files = sorted((tmp_path / "here").rglob("*.parquet"))
    folders = [file.parent.name for file in files]
    assert folders.count("assignments") == 3
    assert folders.count("some") >= 3
    for file in files:
        name = file.relative_to(tmp_path / "here")
        assert file.read_bytes() == (tmp_path / "there" / name).read_bytes(), name
    assert len(list((tmp_path / "there").rglob("*.parquet"))) == len(files)


def test_an_evaluation(tmp_path: Path, cluster: Any) -> None:
    dump = digits_dump(tmp_path / "dump", files=3, row_group_size=100)
    coresift.select("random", dump, size=100, output=tmp_path / "subset.parquet")
    found = [
        coresift.evaluate(
            tmp_path / "subset.parquet", full=dump, label="label", metrics=["all"], **params
        )
        for params in ({}, on(cluster))
    ]
    one, other = (json.loads(json.dumps(result.to_json()["metrics"])) for result in found)
    assert one == other


def test_tasks_hold_no_data(engine: RayEngine) -> None:
    from coresift.distributed.packing import pack

    scratch = RemoteScratch(engine)
    store = scratch.rows(None, 100_000, 10, np.dtype(np.float32), held=True)
    store.write(0, np.ones((100_000, 10), np.float32))

    def task(start: int) -> float:
        return float(store.read(start, start + 10).sum())

    packed = pack(task, engine._share)
    assert len(packed.code) + sum(map(len, packed.buffers)) < 4_000
    assert packed.stores == {store.name}
    assert list(engine.map(task, range(0, 100_000, 10_000))) == [100.0] * 10
