"""A driver that was killed goes on from what it remembers, though its workers died with it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.command import coresift
from tests.cli.test_resume import COMMANDS, SPLIT, contents, killed
from tests.data import digits, digits_dump, vector_table, write_dump
from tests.distributed.test_command import options

pytestmark = pytest.mark.xdist_group("ray")


@pytest.fixture(scope="module")
def dumps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dumps")
    digits_dump(folder / "emb", files=3)
    vectors, _ = digits()
    write_dump(folder / "same", vector_table(np.tile(vectors[:4], (100, 1))))
    assert coresift("cluster", "emb", "-k", "12", "-o", "clusters", cwd=folder).code == 0
    return folder


@pytest.mark.parametrize("name", ["kmeans", "empty", "hierarchical", "bisecting", "dedup"])
def test_a_driver_is_killed(name: str, dumps: Path, tmp_path: Path, cluster: Any) -> None:
    command = [*COMMANDS[name], *SPLIT]
    expected, output, scratch = tmp_path / "expected", tmp_path / "out", tmp_path / "scratch"
    assert coresift(*command, "-o", str(expected), cwd=dumps).code == 0
    resumed = [*command, *options(cluster), "--resume", "--scratch", str(scratch)]
    moments = random.Random(name)
    for _ in range(3):
        if killed(dumps, moments.randint(2, 8), 100.0, *resumed, "-o", str(output)) == 0:
            break
        assert not output.exists()
    else:
        done = coresift(*resumed, "-o", str(output), "--json", cwd=dumps)
        assert done.code == 0, done.err
        assert "went on from where an earlier run was interrupted" in done.out
    assert contents(output) == contents(expected)
    assert list(scratch.iterdir()) == []


def test_vectors_are_not_kept_on_one_machine(dumps: Path, tmp_path: Path, cluster: Any) -> None:
    command = [*COMMANDS["kmeans"], "--keep-scratch", "-o", str(tmp_path / "out")]
    done = coresift(*command, *options(cluster), cwd=dumps)
    assert done.code == 1
    assert done.err.startswith("error: --keep-scratch keeps vectors on one machine")
