"""Recipes by the real command: run once, not again, and only in part where a part has changed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import coresift as library
from coresift.cli.main import run as program
from coresift.io.provenance import find_provenance
from tests.cli.command import coresift
from tests.data import digits, vector_table, write_dump
from tests.recipes.files import FOUR, contents, write_recipe

ROWS = 400


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a small dump and the recipe of four steps."""
    monkeypatch.chdir(tmp_path)
    dump(tmp_path / "emb")
    write_recipe(tmp_path)
    return tmp_path


def dump(folder: Path, rows: int = ROWS, **columns: Any) -> Path:
    vectors, labels = digits()
    table = vector_table(vectors[:rows], label=labels[:rows], **columns)
    return write_dump(folder, table, files=2)


def run(recipe: str = "four.toml", *, options: Any = None, **variables: Any) -> dict[str, Any]:
    """What a run in the current folder did."""
    return library.run(recipe, output="out", variables=variables, **(options or {})).to_json()


def command(work: Path, *arguments: object, **environment: str) -> dict[str, Any]:
    """What a run by the command did."""
    done = coresift("run", "four.toml", "-o", "out", "--json", *arguments, cwd=work, **environment)
    assert done.code == 0, done.err
    assert done.err == ""
    (line,) = done.out.splitlines()
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


def refusal(work: Path, text: str) -> str:
    """What is said of a recipe; nothing may be left of it."""
    recipe = write_recipe(work, text)
    with pytest.raises(library.CoresiftError) as caught:
        library.run(recipe, output="out")
    assert not (work / "out").exists()
    return caught.value.message


def states(found: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["state"] for step in found["steps"]}


def reasons(found: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["reason"] for step in found["steps"]}


ALL = {"clusters": "ran", "chosen": "ran", "judged": "ran", "some": "ran"}
NONE = dict.fromkeys(ALL, "unchanged")


def test_a_second_run_does_nothing(work: Path) -> None:
    first = command(work)
    assert states(first) == ALL
    assert set(reasons(first).values()) == {"there is no result yet"}
    before = {path: path.stat().st_mtime_ns for path in (work / "out").rglob("*.parquet")}
    second = command(work)
    assert states(second) == NONE
    assert {path: path.stat().st_mtime_ns for path in (work / "out").rglob("*.parquet")} == before
    # what a step found is told again
    assert second["steps"][2]["summary"]["metrics"] == first["steps"][2]["summary"]["metrics"]
    assert sorted(path.name for path in (work / "out").iterdir()) == [
        *("chosen", "clusters", "judged.json", "recipe.json", "some.parquet")
    ]


def test_an_edit_runs_its_step_and_what_hangs_on_it(work: Path) -> None:
    run()
    write_recipe(work, FOUR.replace("share = 100", "share = 90"))
    found = run()
    assert states(found) == {**NONE, "some": "ran"}
    assert reasons(found)["some"] == 'size is "90", and was "100"'
    found = run(share="90", n="20%")
    assert states(found) == {**NONE, "chosen": "ran", "judged": "ran"}
    assert reasons(found)["chosen"] == 'size is "20%", and was "10%"'
    write_recipe(work, FOUR.replace("iterations = 3", "iterations = 4"))
    found = run(share="90", n="20%")
    assert states(found) == {**ALL, "some": "unchanged"}
    assert reasons(found)["clusters"] == "iterations is 4, and was 3"
    assert pq.read_metadata(work / "out" / "some.parquet").num_rows == 90
    # and back: what it gives is what an undisturbed run gives
    write_recipe(work)
    run()
    shutil.copytree(work / "out", work / "disturbed")
    shutil.rmtree(work / "out")
    run()
    assert contents(work / "disturbed") == contents(work / "out")


def test_another_input_runs_everything_and_a_moved_one_nothing(work: Path) -> None:
    run()
    (work / "emb").rename(work / "moved")
    assert states(run(input="moved")) == NONE
    shutil.rmtree(work / "moved")
    dump(work / "emb", ROWS - 1)
    found = run()
    assert states(found) == ALL
    assert reasons(found)["some"] == "the input has changed: 399 rows here, 400 there"


def test_a_result_that_is_gone_or_damaged_is_made_again(work: Path) -> None:
    run()
    (work / "out" / "judged.json").unlink()
    (part,) = (work / "out" / "clusters" / "assignments").glob("*.parquet")
    part.write_bytes(b"")
    (work / "out" / "some.parquet").write_bytes(b"nothing")
    found = run()
    # the same clusters come out, so what hangs on them is as it was
    assert states(found) == {**ALL, "chosen": "unchanged"}
    assert reasons(found)["clusters"] == "assignments/part-00000.parquet is missing or damaged"
    assert states(run()) == NONE


def test_a_dry_run_says_what_would_run_and_leaves_nothing(work: Path) -> None:
    found = run(options={"dry_run": True})
    assert reasons(found) == {
        "clusters": "there is no result yet",
        "chosen": "clusters runs before it",
        "judged": "chosen runs before it",
        "some": "there is no result yet",
    }
    assert not (work / "out").exists()
    run()
    found = run(options={"dry_run": True}, n="50")
    assert states(found) == {**NONE, "chosen": "would run", "judged": "would run"}
    assert states(run()) == NONE
    shown = coresift("run", "four.toml", "-o", "out", "--dry-run", "--set", "n=50", cwd=work).out
    assert 'chosen    would run  size is "50", and was "10%"  out/chosen' in shown
    line = "coresift select sensitivity emb --clusters out/clusters --size 50 -o out/chosen"
    assert f"chosen: {line}" in shown


def test_the_command_lines_that_are_told_give_the_same(work: Path) -> None:
    found = run()
    made = contents(work / "out")
    for step in found["steps"]:
        if step["name"] == "judged":
            continue
        done = coresift(*step["command"][1:], "--overwrite", cwd=work)
        assert done.code == 0, done.err
    assert contents(work / "out") == made
    assert states(run()) == NONE


def test_a_result_made_by_hand_counts(work: Path) -> None:
    run()
    shutil.rmtree(work / "out" / "chosen")
    done = coresift(
        *("select", "sensitivity", "emb", "--clusters", "out/clusters", "-n", "10%"),
        *("-o", "out/chosen"),
        cwd=work,
    )
    assert done.code == 0, done.err
    assert states(run()) == NONE


# stops for good in the middle of what the step `chosen` writes
STALLED = """
import sys, time
import coresift.io.writer as writer
from coresift.cli.main import main

def stall(self, batch, write=writer.PartWriter.write):
    write(self, batch)
    if ".chosen." in str(self._path):
        print("writing", flush=True)
        time.sleep(60)

writer.PartWriter.write = stall
main(sys.argv[1:])
"""


def test_killed_in_the_middle_and_run_again_it_gives_the_same(work: Path) -> None:
    run()
    undisturbed = contents(work / "out")
    shutil.rmtree(work / "out")
    process = subprocess.Popen(
        [sys.executable, "-c", STALLED, "run", "four.toml", "-o", "out"],
        cwd=work,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    # nobody else may run there meanwhile
    other = coresift("run", "four.toml", "-o", "out", cwd=work)
    assert other.code == 1
    assert other.err.splitlines()[0] == "error: out: a recipe is running there"
    process.kill()
    process.communicate()
    assert (work / "out" / "clusters").exists()
    assert not (work / "out" / "chosen").exists()
    found = run()
    assert states(found) == {**ALL, "clusters": "unchanged"}
    assert contents(work / "out") == undisturbed


def test_a_failing_step_is_named_and_what_is_done_stays(work: Path) -> None:
    vectors = digits()[0][:ROWS].copy()
    vectors[33, 2] = float("nan")
    write_dump(work / "bad", vector_table(vectors))
    write_recipe(
        work,
        '[steps.first]\nrun = "select random"\npaths = "emb"\nsize = 5\n'
        '[steps.second]\nrun = "cluster"\npaths = "bad"\nk = 3\n',
    )
    done = coresift("run", "four.toml", "-o", "out", cwd=work)
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines()[0] == (
        "error: step 'second': bad/emb-000.parquet: row 33 of the file (row 33): the vector in "
        "'embedding' holds a value that is not finite"
    )
    assert sorted(path.name for path in (work / "out").iterdir()) == ["first", "recipe.json"]


BEFORE_IT_RUNS = [
    (
        ("--set", "k=0"),
        "error: step 'clusters': Invalid value for '-k': 0 is not in the range x>=1.\n",
    ),
    (
        ("--set", "k=1000"),
        "error: step 'clusters': -k 1,000 is more than the 400 rows\n"
        "hint: ask for at most 400 clusters\n",
    ),
    (
        ("--set", "n=none"),
        "error: step 'chosen': size 'none' is neither a positive count nor a share in (0%, 100%]\n"
        "hint: write -n 5000 or -n 10%\n",
    ),
    (
        ("--set", "n=401"),
        "error: step 'chosen': size 401 is more than the 400 rows to choose from\n"
        "hint: ask for at most 400 with -n, or for a share such as -n 10%\n",
    ),
    (
        ("--set", "input=nothing"),
        "error: step 'clusters': nothing: no such file or directory\n",
    ),
    (
        ("--set", "m=3"),
        "error: four.toml: --set: no variable 'm'\nhint: there are input, k, n, share\n",
    ),
    (("--set", "n"), "error: --set 'n' is not of the form name=value\nhint: --set n=10%\n"),
    (("--set", "=3"), "error: --set '=3' is not of the form name=value\nhint: --set n=10%\n"),
]


def test_what_is_wrong_is_found_before_anything_runs(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, expected in BEFORE_IT_RUNS:
        assert program(["run", "four.toml", "-o", "out", *arguments]) == 1
        assert capsys.readouterr() == ("", expected)
        assert not (work / "out").exists()


LATE = [
    ("chosen", 'loss = "los"', "--loss: no column 'los'"),
    ("judged", 'label = "lable"', "--label: no column 'lable'"),
    ("chosen", 'columns = "label,lable"', "--columns: no column 'lable' in the input"),
    ("chosen", 'where = "lable > 3"', "--where: no column 'lable'"),
    ("chosen", "mix = 3", "--mix 3 is more than 1"),
    ("chosen", 'on = "label"', "--on describes --losses, which is missing"),
    ("chosen", 'losses = "nothing.parquet"', "nothing.parquet: no such file or directory"),
    ("judged", "centers = 3", "--centers is about --coreset, which is missing"),
    ("chosen", 'seed = ["1", "2"]', "seed takes one value, not a list"),
    ("clusters", 'train_rows = "many"', "--train-rows 'many' is neither a count nor 'all'"),
    ("chosen", 'with_replacement = "yes"', "with_replacement 'yes' is neither true nor false"),
]


@pytest.mark.parametrize(("step", "line", "message"), LATE)
def test_a_step_is_checked_before_those_run_that_it_waits_for(
    step: str, line: str, message: str, work: Path
) -> None:
    text = FOUR.replace(f"[steps.{step}]", f"[steps.{step}]\n{line}")
    assert refusal(work, text).startswith(f"step {step!r}: {message}")


def test_columns_of_a_result_that_is_not_there_yet_are_known(work: Path) -> None:
    text = (
        '[steps.a]\nrun = "select random"\npaths = "emb"\nsize = 50\ncolumns = "embedding"\n'
        '[steps.b]\nrun = "select random"\npaths = "${a}"\nsize = 5\n'
    )
    cases = [
        ("", "step 'b': the input has a column 'row', which the result adds"),
        ('prefix = "b_"\nby = "label"', "step 'b': --by: no column 'label'"),
        ('prefix = "b_"\nsize = 51', "step 'b': size 51 is more than the 50 rows to choose from"),
    ]
    for lines, message in cases:
        kept = text.replace("size = 5\n", "") if "size" in lines else text
        assert refusal(work, f"{kept}{lines}\n").startswith(message)


def test_outputs_that_are_one_place_are_refused(work: Path) -> None:
    step = '[steps.{}]\nrun = "select random"\npaths = "emb"\nsize = 5\noutput = "{}"\n'
    pairs = '[steps.c]\nrun = "select dedup"\npaths = "emb"\nthreshold = 0.9\npairs = "{}"\n'
    for text, place in [
        (step.format("a", "x") + step.format("b", "x"), "out/x"),
        (step.format("a", "x/y") + step.format("b", "x"), "out/x/y"),
        (step.format("a", "x.parquet") + pairs.format("x.parquet"), "out/x.parquet"),
    ]:
        assert refusal(work, text).endswith(f"both write to {place}")


def test_what_a_step_writes_beside_its_result_has_to_be_there(work: Path) -> None:
    text = (
        '[steps.a]\nrun = "select dedup"\npaths = "emb"\nthreshold = 0.9\n'
        'pairs = "dropped.parquet"\n'
    )
    write_recipe(work, text)
    assert states(run()) == {"a": "ran"}
    assert states(run()) == {"a": "unchanged"}
    (work / "out" / "dropped.parquet").unlink()
    assert reasons(run()) == {"a": "out/dropped.parquet is missing"}
    shutil.rmtree(work / "out")
    outside = refusal(work, text.replace("dropped.parquet", "../dropped.parquet"))
    assert "is not a name within the working directory" in outside


REPORTS = """
[steps.page]
run = "report"
result = "${chosen}"
label = "label"
metrics = false
examples = 1

[steps.picture]
run = "report"
result = "${clusters}"
output = "pictures/map.png"
"""


def test_reports_are_made_again_only_when_what_they_show_has_changed(work: Path) -> None:
    write_recipe(work, FOUR + REPORTS)
    every = {**ALL, "page": "ran", "picture": "ran"}
    none = dict.fromkeys(every, "unchanged")
    assert states(run()) == every
    made = {name: (work / "out" / name).read_bytes() for name in ("page.html", "pictures/map.png")}
    assert states(run()) == none
    write_recipe(work, FOUR + REPORTS.replace("examples = 1", "examples = 0"))
    found = run()
    assert states(found) == {**none, "page": "ran"}
    assert reasons(found)["page"] == "examples is 0, and was 1"
    write_recipe(work, FOUR + REPORTS)
    assert states(run(n="20%")) == {**none, "chosen": "ran", "judged": "ran", "page": "ran"}
    assert states(run()) == {**none, "chosen": "ran", "judged": "ran", "page": "ran"}
    assert {name: (work / "out" / name).read_bytes() for name in made} == made
    # what is no column of the dump is found though the selection is not there yet
    shutil.rmtree(work / "out")
    wrong = REPORTS.replace('label = "label"', 'label = "lable"')
    assert refusal(work, FOUR + wrong).startswith("step 'page': --label: no column 'lable'")


def test_a_folder_of_something_else_is_left_alone(work: Path) -> None:
    with pytest.raises(library.CoresiftError, match="emb: holds what no recipe has put there"):
        library.run("four.toml", output="emb")
    (work / "out").mkdir()
    run()
    write_recipe(work, name="five.toml")
    with pytest.raises(library.CoresiftError, match="out: belongs to the recipe 'four'"):
        run("five.toml")
    assert states(run("five.toml", options={"overwrite": True})) == NONE
    # a result is replaced, and nothing else
    shutil.rmtree(work / "out" / "chosen")
    (work / "out" / "chosen").mkdir()
    (work / "out" / "chosen" / "notes.txt").write_text("mine")
    with pytest.raises(library.CoresiftError, match=r"step 'chosen': .*not a result of coresift"):
        run("five.toml")
    assert (work / "out" / "chosen" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["judged.json", "page.html", "map.png", "rows.parquet"])
def test_a_file_of_the_users_own_is_left_alone(work: Path, name: str) -> None:
    command = {
        ".json": 'run = "inspect"\npaths = "emb"',
        ".parquet": 'run = "select random"\npaths = "emb"\nsize = 9',
    }.get(Path(name).suffix, 'run = "report"\nresult = "${clusters}"')
    clusters = '[steps.clusters]\nrun = "cluster"\npaths = "emb"\nk = 3\n'
    write_recipe(work, f'{clusters}[steps.last]\n{command}\noutput = "{name}"\n')
    path = work / "out" / name
    run()
    path.unlink()
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"mine": [1]}), path)
    else:
        path.write_text('{"mine": 1}')
    before = path.read_bytes()
    with pytest.raises(library.CoresiftError, match=f"step 'last': .*{name}: not a result"):
        run()
    assert path.read_bytes() == before
    path.unlink()
    assert run()["steps"][-1]["state"] == "ran"


def test_hostile_names_are_names(tmp_path: Path) -> None:
    column = 'la"bel\n$(touch pwned) ${n} <b>'
    vectors, labels = digits()
    table = vector_table(vectors[:ROWS]).append_column(column, pa.array(labels[:ROWS]))
    write_dump(tmp_path / "-in [1] $(touch pwned)", table)
    write_recipe(
        tmp_path,
        '[variables]\ninput = {}\nlabel = {}\nn = "7"\n[steps.-]\nrun = "inspect"\npaths = "x"\n',
    )
    text = (
        "[variables]\ninput = {}\nby = {}\n"
        '[steps.chosen]\nrun = "select random"\npaths = "${input}"\nby = "${by}"\nsize = 20\n'
        '[steps.judged]\nrun = "evaluate"\nsubset = "${chosen}"\nfull = "${input}"\n'
        'label = "${by}"\nrepeats = 1\n'
    )
    write_recipe(tmp_path, text, "-r [x].toml")
    arguments = (
        *("run", "--set", "input=-in [1] $(touch pwned)", "--set", f"by={column}"),
        *("-o", "-out *[y] $(touch pwned)", "--json", "--", "-r [x].toml"),
    )
    for state in ("ran", "unchanged"):
        done = coresift(*arguments, cwd=tmp_path)
        assert done.code == 0, done.err
        assert set(states(json.loads(done.out)).values()) == {state}
    assert not (tmp_path / "pwned").exists()


def test_the_environment_changes_no_step(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    monkeypatch.setenv("CORESIFT_CLUSTER_SEED", "7")
    monkeypatch.setenv("CORESIFT_SELECT_SIZE", "20%")
    assert states(command(work, CORESIFT_RUN_MEMORY="2GB")) == NONE


def test_python_runs_a_recipe_too(work: Path) -> None:
    told: list[str] = []

    def tell(name: str, arguments: object) -> None:
        told.append(name)

    found = library.run("four.toml", output="out", variables={"k": 5, "n": "30"}, tell=tell)
    assert told == ["clusters", "chosen", "judged", "some"]
    assert [step.state for step in found.steps] == ["ran"] * 4
    assert found.steps[0].summary["k"] == 5
    assert found.steps[1].summary["rows_out"] == 30
    provenance = find_provenance(Path(found.steps[1].output))
    assert provenance is not None
    assert provenance.parents["clustering"]["path"] == str(work / "out" / "clusters")
    again = library.run("four.toml", output="out", variables={"k": 5, "n": "30"}, memory="2GB")
    assert [step.state for step in again.steps] == ["unchanged"] * 4
    with pytest.raises(library.CoresiftError, match="run has no option 'memroy'"):
        library.run("four.toml", output="out", memroy="2GB")
