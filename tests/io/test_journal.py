"""What a journal keeps: whole, for one process at a time, and only for the same work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from coresift.core.errors import ResourceError
from coresift.engine.serial import SerialEngine
from coresift.io import journal
from coresift.io.journal import Journal
from coresift.io.store import Arrays, Scratch


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "INTERVAL_S", 0.0)


def squares(done: list[int], last: int = 100) -> Callable[[int], Arrays]:
    """Squares numbers, remembers which, and fails after ``last``."""

    def task(number: int) -> Arrays:
        if number > last:
            raise KeyboardInterrupt
        done.append(number)
        return np.array([number, number * number]), np.array(f"n{number}")

    return task


def test_what_was_saved_is_there_for_the_next_process(tmp_path: Path) -> None:
    with Journal.open(tmp_path, "a") as first:
        assert not first.begun
        assert first.load("x") is None
        first.step("part").save("x", values=[1.5, 2.5], name="n", many=np.array(["a", "bc"]))
        store = first.rows("rows", 10, 2, np.dtype(np.int32), held=True)
        store.write(4, np.array([[7, 8]], np.int32))
    with Journal.open(tmp_path, "a") as second:
        assert second.begun
        assert second.load("x") is None
        saved = second.step("part").load("x")
        assert saved is not None
        assert saved["values"].tolist() == [1.5, 2.5]
        assert (str(saved["name"]), saved["many"].tolist()) == ("n", ["a", "bc"])
        store = second.rows("rows", 10, 2, np.dtype(np.int32), held=False)
        assert store.read(3, 6).tolist() == [[0, 0], [7, 8], [0, 0]]
        second.step("part").clear()
        assert second.step("part").load("x") is None
        second.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_map_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    items = list(range(8))
    done: list[int] = []
    with Journal.open(tmp_path, "a") as first, pytest.raises(KeyboardInterrupt):
        list(first.map("squares", SerialEngine(), squares(done, 4), items))
    with (tmp_path / "coresift-a" / "squares.log").open("ab") as log:
        log.write(b"\x93NUMPY torn")
    again: list[int] = []
    with Journal.open(tmp_path, "a") as second:
        found = list(second.map("squares", SerialEngine(), squares(again), items))
        assert [int(pair[1]) for pair, _ in found] == [n * n for n in items]
        assert [str(name) for _, name in found] == [f"n{n}" for n in items]
    assert (done, again) == ([0, 1, 2, 3, 4], [5, 6, 7])
    with Journal.open(tmp_path, "a") as third:
        assert len(list(third.map("squares", SerialEngine(), squares(again), items))) == len(items)
        assert again == [5, 6, 7]
        # other work under the same name is done from its start
        assert len(list(third.map("squares", SerialEngine(), squares(again), items[2:]))) == 6
    assert again == [5, 6, 7, *items[2:]]


def test_a_damaged_record_is_as_none(tmp_path: Path) -> None:
    with Journal.open(tmp_path, "a") as first:
        first.save("x", value=1)
        path = first.home / "x.npz"
        path.write_bytes(path.read_bytes()[:20])
        assert first.load("x") is None


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with Journal.open(tmp_path, "a"):
        with pytest.raises(ResourceError, match="another run is using it"):
            Journal.open(tmp_path, "a")
        Journal.open(tmp_path, "b").close()
    Journal.open(tmp_path, "a").close()


def test_a_folder_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "coresift-a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ResourceError, match="not a folder of this user"):
        Journal.open(tmp_path, "a")


def test_a_scratch_remembers_nothing(tmp_path: Path) -> None:
    with Scratch(tmp_path) as scratch:
        scratch.step("part").save("x", value=1)
        assert scratch.load("x") is None
        assert not scratch.due
        list(scratch.map("squares", SerialEngine(), squares([]), [1, 2]))
        assert list(tmp_path.iterdir()) == []
