"""Workers and machines that are lost in mid-run change nothing but the time."""

from __future__ import annotations

import logging
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import coresift
from coresift.core.errors import InputError, ResourceError
from coresift.distributed import passes
from coresift.distributed.engine import RayEngine
from coresift.distributed.scratch import RemoteScratch
from coresift.io import dump as dump_module
from tests.data import digits_dump
from tests.distributed.conftest import NODE
from tests.distributed.test_same import on

pytestmark = pytest.mark.xdist_group("ray")

# outcomes that are heard in the runs below, about
_CLUSTER, _SELECT = 280, 56


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dump_module, "_SHARD_BYTES", 1)
    monkeypatch.setattr(passes, "_PAUSE_S", 0.0)


@pytest.fixture
def at_outcome(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[int, Callable[[RayEngine], None]], Any]:
    """Do something to the engine of a run once so many outcomes have been heard."""

    def arrange(number: int, event: Callable[[RayEngine], None]) -> list[RayEngine]:
        heard = RayEngine.heard
        count = [0]
        engines: list[RayEngine] = []

        def counted(self: RayEngine, stream: Any) -> Any:
            count[0] += 1
            if count[0] == number:
                engines.append(self)
                event(self)
            return heard(self, stream)

        monkeypatch.setattr(RayEngine, "heard", counted)
        return engines

    return arrange


def killing(worker: int) -> Callable[[RayEngine], None]:
    """Kill a worker's process."""

    def event(engine: RayEngine) -> None:
        actor = engine._actors[worker]
        os.kill(engine._ray.get(actor.about.remote())["pid"], signal.SIGKILL)

    return event


MOMENTS = random.Random(7).sample(range(1, _CLUSTER), 5)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_worker_is_killed_in_a_clustering(
    moment: int, tmp_path: Path, cluster: Any, at_outcome: Any, caplog: pytest.LogCaptureFixture
) -> None:
    dump = digits_dump(tmp_path / "dump", files=3, row_group_size=100)
    params: dict[str, Any] = {"k": 20, "seeding": "rs-k-means++", "seed": 2, "batch_rows": 40}
    here = coresift.cluster(dump, output=tmp_path / "here", **params)
    engines = at_outcome(moment, killing(moment % 2))
    with caplog.at_level(logging.WARNING):
        there = coresift.cluster(dump, output=tmp_path / "there", **on(cluster), **params)
    assert len(engines) == 1
    assert engines[0].retried == 1
    assert [record.message for record in caplog.records] == [
        f"worker {moment % 2} was lost: another one takes its place"
    ]
    assert here.cost == there.cost
    for name in ("assignments/part-00000.parquet", "centroids.parquet", "representatives.parquet"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()


@pytest.mark.parametrize("moment", random.Random(8).sample(range(1, _SELECT), 5))
def test_a_worker_is_killed_in_a_selection(
    moment: int, tmp_path: Path, cluster: Any, at_outcome: Any
) -> None:
    dump = digits_dump(tmp_path / "dump", files=3, row_group_size=100)
    for place, params in (("here", {}), ("there", on(cluster))):
        if place == "there":
            engines = at_outcome(moment, killing(moment % 2))
        coresift.select(
            "dedup",
            dump,
            params={"threshold": 0.97},
            output=tmp_path / f"{place}.parquet",
            **params,
        )
    assert engines[0].retried == 1
    assert (tmp_path / "here.parquet").read_bytes() == (tmp_path / "there.parquet").read_bytes()


def test_a_machine_is_lost_and_one_comes(tmp_path: Path, cluster: Any, at_outcome: Any) -> None:
    dump = digits_dump(tmp_path / "dump", files=3, row_group_size=100)
    params: dict[str, Any] = {"k": 20, "seed": 2, "tol": 0.0, "batch_rows": 40}
    here = coresift.cluster(dump, output=tmp_path / "here", **params)
    passing = cluster.add_node(**NODE)
    place: list[str] = []

    def lose(engine: RayEngine) -> None:
        nodes = [a.node.remote() for a in engine._actors]
        place.extend(engine._ray.get(nodes))
        cluster.remove_node(passing)
        cluster.add_node(**NODE)

    engines = at_outcome(60, lose)
    more = {**on(cluster), "threads": 3}
    there = coresift.cluster(dump, output=tmp_path / "there", **more, **params)
    assert len(set(place)) == 3
    assert engines[0].retried >= 1
    assert here.cost == there.cost


def test_two_workers_are_lost_at_once(engine: RayEngine) -> None:
    scratch = RemoteScratch(engine)
    first, second = (scratch.rows(None, 1000, 2, np.dtype(np.int64), held=True) for _ in range(2))
    first.write(0, np.arange(2000).reshape(1000, 2))

    def double(run: tuple[int, int]) -> int:
        second.write(run[0], 2 * first.read(*run))
        return run[0]

    runs = [(start, start + 90) for start in range(0, 1000, 100)]
    assert list(engine.map(double, runs)) == [start for start, _ in runs]
    expected = second.read(0, 1000)
    pids = [about["pid"] for about in engine._every("about")]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    np.testing.assert_array_equal(first.read(0, 1000), np.arange(2000).reshape(1000, 2))
    np.testing.assert_array_equal(second.read(0, 1000), expected)
    assert expected[0:90].tolist() == (2 * np.arange(180).reshape(90, 2)).tolist()
    assert engine.retried == 2
    engine.retried = 0


def test_a_worker_that_is_lost_again_and_again(engine: RayEngine) -> None:
    def suicidal(_: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ResourceError, match=r"^worker \d of the Ray cluster was lost 5 times"):
        list(engine.map(suicidal, [0, 1]))


def test_an_unreadable_shard_names_the_file_and_the_machine(
    tmp_path: Path, cluster: Any, engine: RayEngine
) -> None:
    dump = digits_dump(tmp_path / "dump", files=3, row_group_size=100)
    broken = dump / "emb-001.parquet"
    data = bytearray(broken.read_bytes())
    data[2000:30_000] = b"\xff" * 28_000
    broken.write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"emb-001\.parquet.*\(on .+\)$"):
        coresift.cluster(dump, k=5, output=tmp_path / "out", **on(cluster))
    assert not (tmp_path / "out").exists()


def test_a_bad_moment_of_a_file_system_is_survived(tmp_path: Path, engine: RayEngine) -> None:
    def task(number: int) -> int:
        seen = tmp_path / str(number)
        if number % 3 == 0 and not seen.exists():
            seen.touch()
            raise OSError("connection reset")
        return number

    assert list(engine.map(task, range(10))) == list(range(10))
