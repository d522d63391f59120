"""Ask and tell: the same rows as the built-in loop, whatever happens on the way."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import coresift
from coresift.api import bandit
from coresift.api.asked import Asked
from coresift.core.errors import CoresiftError, InputError, MismatchError, OutputError
from tests.cli.command import PROGRAM, leftovers
from tests.cli.command import coresift as run
from tests.data import digits, vector_table, write_dump

SCORE = np.sin(np.arange(1797.0)) + digits()[1]  # known here, and a column of the dump


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bandit")
    vectors, labels = digits()
    table = vector_table(vectors, id=[f"d{i}" for i in range(1797)], label=labels, value=SCORE)
    write_dump(folder / "emb", table, files=3, row_group_size=100)
    coresift.cluster(folder / "emb", k=20, output=folder / "c")
    return folder


@pytest.fixture
def work(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    _start(tmp_path)
    return tmp_path


def _start(work: Path, **more: Any) -> bandit.BanditResult:
    return bandit.start(work / "emb", clusters=work / "c", state=work / "S", **more)


def _ask(work: Path, size: int, name: str = "batch.parquet", **more: Any) -> NDArray[np.int64]:
    bandit.ask(work / "S", size=size, output=work / name, overwrite=True, **more)
    rows: NDArray[np.int64] = pq.read_table(work / name)["row"].to_numpy()
    return rows


def _tell(work: Path, rows: Any, scores: Any = None, **more: Any) -> bandit.BanditResult:
    rows = np.asarray(rows, np.int64)
    scores = SCORE[rows] if scores is None else scores
    pq.write_table(pa.table({"row": rows, "score": pa.array(scores)}), work / "scores.parquet")
    return bandit.tell(work / "S", scores=work / "scores.parquet", **more)


def _digest(work: Path) -> str:
    with Asked.open(work / "S") as asked:
        return asked.digest


@pytest.mark.parametrize(
    "params", [{"top": "5%"}, {"alpha": 2.0, "batch": 7, "reward": "mean", "diversity": 0}]
)
def test_the_same_rows_as_the_loop_within(
    params: dict[str, object], made: Path, tmp_path: Path
) -> None:
    work = tmp_path
    coresift.select(
        "bandit",
        made / "emb",
        size=90,
        clusters=made / "c",
        output=work / "within.parquet",
        params={"score": "value", "per_round": 75, **params},
        seed=3,
    )
    bandit.start(made / "emb", clusters=made / "c", state=work / "S", params=params, seed=3)
    told = 0
    while told < 450:
        rows = _ask(work, min(75, 450 - told))
        told = _tell(work, np.random.default_rng(0).permutation(rows)).told
    found = bandit.finish(work / "S", size=90, output=work / "without.parquet")
    within, without = (pq.read_table(work / f"{x}.parquet") for x in ("within", "without"))
    assert within.equals(without)
    assert found.rows_out == 90
    assert within.schema.names == [
        *("id", "label", "value", "embedding", "row", "weight", "score", "cluster", "rank"),
    ]


def test_a_batch_has_the_columns_of_its_rows(work: Path) -> None:
    rows = _ask(work, 50)
    table = pq.read_table(work / "batch.parquet")
    assert table.schema.names == ["id", "label", "value", "embedding", "row"]
    assert table["id"].to_pylist() == [f"d{row}" for row in rows]
    assert (np.diff(rows) > 0).all()
    _ask(work, 50, columns=["id"])
    assert pq.read_table(work / "batch.parquet").schema.names == ["id", "row"]


def test_asked_twice_it_gives_others_and_again_the_same(work: Path) -> None:
    first, second = _ask(work, 60), _ask(work, 60)
    assert not set(first) & set(second)
    done = _tell(work, second)
    assert done.notes == ("60 rows asked without a score so far",)
    assert _ask(work, 100, again=True).tolist() == first.tolist()
    done = _tell(work, first)
    assert done.notes == ("60 rows of earlier batches told",)
    assert (done.asked, done.told, done.left) == (120, 120, 1797 - 120)
    with pytest.raises(InputError, match="no row is waiting for its score"):
        _ask(work, 1, again=True)


def test_told_in_part_and_twice(work: Path) -> None:
    rows = _ask(work, 40)
    assert _tell(work, rows[:15]).notes == ("25 rows asked without a score so far",)
    assert _tell(work, rows).notes == ("15 rows told before, with the same score",)
    before = _digest(work)
    assert _tell(work, rows).notes == ("40 rows told before, with the same score",)
    assert _digest(work) == before
    # null is no score
    more = _ask(work, 3)
    done = _tell(work, more, [1.0, None, float("nan")])
    assert done.rows == 1
    assert done.notes[0].startswith("2 lines of ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: (np.append(rows, 5000), None), "1 row never asked, for example row 5000"),
        (lambda rows: (np.append(rows, rows[0]), None), "1 id in 'row' more than once"),
        (lambda rows: (rows[::-1], np.zeros(30)), "30 rows told before with another score, for"),
        (lambda rows: (rows, np.full(30, np.inf)), "is infinite"),
    ],
)
def test_refused_and_nothing_lost(change: Any, message: str, work: Path) -> None:
    rows = _ask(work, 30)
    _tell(work, rows)
    before = _digest(work)
    _, scores = change(rows)
    told = change(rows)[0]
    with pytest.raises(InputError, match=message) as caught:
        _tell(work, told, np.zeros(len(told)) if scores is None else scores)
    assert "\n" not in caught.value.message
    assert _digest(work) == before


def test_rows_never_asked_may_be_left_out(work: Path) -> None:
    rows = _ask(work, 30)
    others = np.setdiff1d(np.arange(1797), rows)[:7]
    with pytest.raises(InputError, match="7 rows never asked"):
        _tell(work, np.append(rows, others))
    done = _tell(work, np.append(rows, others), unasked="drop")
    assert done.told == 30
    assert done.notes == (f"7 rows never asked, for example row {others[0]}: left out",)


def test_another_score_may_take_the_place(work: Path) -> None:
    rows = _ask(work, 30)
    _tell(work, rows)
    done = _tell(work, rows[:4], np.zeros(4), replace=True)
    assert done.notes == ("4 rows told another score than before",)
    with Asked.open(work / "S") as asked:
        assert (asked.score == 0.0).sum() == 4


def test_joined_by_a_column_of_the_dump(work: Path) -> None:
    rows = _ask(work, 30)[::-1]
    table = pa.table({"id": [f"d{row}" for row in rows], "loss": SCORE[rows]})
    pq.write_table(table, work / "by-id.parquet")
    done = bandit.tell(work / "S", scores=work / "by-id.parquet", on="id", score="0 - loss")
    assert done.told == 30
    with Asked.open(work / "S") as asked:
        assert asked.score.tolist() == (-SCORE[asked.row]).tolist()
    pq.write_table(pa.table({"label": [0], "loss": [1.0]}), work / "by-label.parquet")
    with pytest.raises(InputError, match="label 0 stands for several rows asked"):
        bandit.tell(work / "S", scores=work / "by-label.parquet", on="label")
    with pytest.raises(CoresiftError, match="--on: no column 'name'"):
        bandit.tell(work / "S", scores=work / "by-id.parquet", on="name")


def test_everything_asked(work: Path) -> None:
    rows = _ask(work, 5000)
    assert rows.tolist() == list(range(1797))
    with pytest.raises(InputError, match="no row is left, all 1,797 were asked"):
        _ask(work, 1)
    _tell(work, rows)
    bandit.finish(work / "S", size="10%", output=work / "out.parquet")
    with pytest.raises(CoresiftError, match="size 1,798 is more than the 1,797 rows"):
        bandit.finish(work / "S", size=1798, output=work / "more.parquet")


def test_more_than_was_told(work: Path) -> None:
    _tell(work, _ask(work, 30)[:20])
    with pytest.raises(InputError, match="size 21 is more than the 20 rows that have a score"):
        bandit.finish(work / "S", size=21, output=work / "out.parquet")
    assert not (work / "out.parquet").exists()
    done = bandit.finish(work / "S", size=20, output=work / "out.parquet")
    assert done.notes[-1] == "10 rows asked without a score left out"


def test_a_changed_dump_or_clustering_is_refused(work: Path) -> None:
    rows = _ask(work, 30)
    shutil.move(work / "c", work / "was")
    with pytest.raises(MismatchError, match=r"the clustering .* is gone"):
        _tell(work, rows)
    coresift.cluster(work / "emb", k=19, output=work / "c")
    with pytest.raises(MismatchError, match="was started with another clustering"):
        _tell(work, rows)
    shutil.rmtree(work / "c")
    shutil.move(work / "was", work / "c")
    (work / "emb" / "emb-002.parquet").unlink()
    for step in (
        lambda: _tell(work, rows),
        lambda: _ask(work, 3),
        lambda: bandit.finish(work / "S", size=1, output=work / "out.parquet"),
    ):
        with pytest.raises(MismatchError, match="was made from another input: 1,198 rows here"):
            step()


def test_a_state_is_not_overwritten_by_accident(work: Path) -> None:
    _ask(work, 30)
    with pytest.raises(CoresiftError, match="exists already") as caught:
        _start(work)
    assert caught.value.hint == "choose another --state, or give --overwrite"
    assert _start(work, overwrite=True).asked == 0
    with pytest.raises(InputError, match="not the state of a bandit"):
        bandit.ask(work / "c", size=1, output=work / "x.parquet")


def test_a_state_that_lost_a_file(work: Path) -> None:
    _ask(work, 30)
    with pytest.raises(InputError, match="is more than the 0 rows") as caught:
        bandit.finish(work / "S", size=1, output=work / "out.parquet")
    assert caught.value.hint == "have more rows scored"
    (work / "S" / "lock").unlink()
    (work / "S" / "lock").mkdir()
    with pytest.raises(OutputError, match="S: cannot be written: Is a directory"):
        _ask(work, 3)
    (work / "S" / "lock").rmdir()
    (work / "S" / "state.parquet").unlink()
    with pytest.raises(InputError, match=r"S/state\.parquet: damaged: "):
        _ask(work, 3)


def test_a_prefix_keeps_names_apart(work: Path) -> None:
    _start(work, overwrite=True, prefix="b_")
    _ask_table = bandit.ask(work / "S", size=10, output=work / "b.parquet")
    assert _ask_table.rows == 10
    table = pq.read_table(work / "b.parquet")
    rows = table["b_row"].to_numpy()
    pq.write_table(pa.table({"b_row": rows, "score": SCORE[rows]}), work / "s.parquet")
    assert bandit.tell(work / "S", scores=work / "s.parquet").told == 10
    bandit.finish(work / "S", size=5, output=work / "out.parquet", ids_only=True)
    names = pq.read_schema(work / "out.parquet").names
    assert names == ["b_row", "b_weight", "b_score", "b_cluster", "b_rank"]


def test_replay(work: Path) -> None:
    _tell(work, _ask(work, 60))
    bandit.finish(work / "S", size=20, output=work / "out", drop_embedding=True)
    assert coresift.replay(work / "out", output=work / "again").identical
    _tell(work, _ask(work, 60))
    with pytest.raises(MismatchError, match=r"the state .* has changed since: more was asked"):
        coresift.replay(work / "out", output=work / "third")
    coresift.select(
        "bandit",
        work / "emb",
        size=20,
        clusters=work / "c",
        output=work / "within",
        params={"score": "value", "top": "2%"},
    )
    assert coresift.replay(work / "within", output=work / "within-again").identical


# runs a command that is killed at the first time that something is to be on the disk or renamed,
# then again to the second such time, and so on, until it goes through
KILLED = """
import os, signal, sys
from pathlib import Path
import coresift.api.bandit
from coresift.cli.main import main

def dies(plain, left):
    def counted(*arguments):
        left.pop()
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(*arguments)
    return counted

for kills in range(30):
    child = os.fork()
    if child == 0:
        left = [None] * (kills + 1)
        os.fsync, Path.rename = dies(os.fsync, left), dies(Path.rename, left)
        main(sys.argv[1:])
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != -signal.SIGKILL:
        break
print(kills)
sys.exit(status)
"""


def _killed(work: Path, *arguments: object) -> int:
    """How often a command was killed before it went through."""
    command = [sys.executable, "-c", KILLED, *map(str, arguments), "--json"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1])


def test_killed_at_any_time(work: Path) -> None:
    asks = ("bandit", "ask", "--state", "S", "-n", 30, "-o", "batch.parquet", "--overwrite")
    assert _killed(work, *asks) == 6
    rows = pq.read_table(work / "batch.parquet")["row"].to_numpy()
    with Asked.open(work / "S") as asked:
        # killed when the state was already there, it asked for others the next time
        assert len(asked.row) == 60
        assert set(rows) <= set(asked.row[asked.waiting])
        waiting = asked.row
    pq.write_table(pa.table({"row": waiting, "score": SCORE[waiting]}), work / "s.parquet")
    assert _killed(work, "bandit", "tell", "--state", "S", "--scores", "s.parquet") == 3
    with Asked.open(work / "S") as asked:
        assert asked.score.tolist() == SCORE[asked.row].tolist()
    finishes = ("bandit", "finish", "--state", "S", "-n", 9, "-o", "out.parquet", "--overwrite")
    assert _killed(work, *finishes) == 3
    assert pq.read_table(work / "out.parquet").num_rows == 9
    assert leftovers(work) == []


def test_killed_after_the_batch_is_there_it_asks_for_the_same_rows(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(self: Asked) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Asked, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            _ask(work, 30)
    rows = pq.read_table(work / "batch.parquet")["row"].to_numpy()
    assert _ask(work, 30).tolist() == rows.tolist()
    assert _tell(work, rows).told == 30


def test_processes_take_turns(work: Path) -> None:
    """Several workers ask the same state at the same time: no row is given twice."""
    asks = [*PROGRAM, "bandit", "ask", "--state", "S", "-n", "25", "-o"]
    workers = [
        subprocess.Popen([*asks, f"b{i}.parquet"], cwd=work, stdout=subprocess.DEVNULL)
        for i in range(2)
    ]
    assert [worker.wait(60) for worker in workers] == [0] * 2
    rows = np.concatenate([pq.read_table(work / f"b{i}.parquet")["row"] for i in range(2)])
    assert len(set(rows.tolist())) == 50


def test_the_commands(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    begun = run("bandit", "start", "emb", "--clusters", "c", "--state", "S", cwd=tmp_path)
    assert begun.code == 0, begun.err
    done = run(
        *("bandit", "ask", "--state", "S", "-n", 20, "-o", "b.parquet", "--json"), cwd=tmp_path
    )
    assert json.loads(done.out) == {
        "step": "ask",
        "state": "S",
        "rows": 20,
        "asked": 20,
        "told": 0,
        "left": 1777,
        "notes": [],
        "output": "b.parquet",
    }
    pq.write_table(pa.table({"row": [1797], "score": [1.0]}), tmp_path / "s.parquet")
    done = run("bandit", "tell", "--state", "S", "--scores", "s.parquet", cwd=tmp_path)
    assert done.code == 1
    assert done.err.splitlines() == [
        "error: s.parquet: 1 row never asked, for example row 1797; nothing was taken from it",
        "hint: is it of another state? --unasked drop takes the others; rows of an interrupted "
        "ask are asked again",
    ]
    done = run(
        *("bandit", "ask", "--state", "S", "-o", "c.parquet"),
        cwd=tmp_path,
        CORESIFT_BANDIT_ASK_SIZE="7",
    )
    assert done.out.startswith("rows    7\n")
