"""Completion as the shells ask for it, man pages, and the methods by need."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import click
import pyarrow as pa
import pytest

from coresift.cli.main import cli
from coresift.selection.registry import METHODS
from tests.cli.command import PROGRAM, coresift
from tests.data import gaussians, vector_table, write_dump
from tools.man_pages import pages


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("completion")
    table = vector_table(gaussians(20, 4, 2), label=[0] * 20)
    hostile = table.append_column("$(touch pwned)", pa.array(range(20)))
    write_dump(folder / "emb", hostile.append_column("two\nlines", pa.array(range(20))))
    # `coresift` as a shell finds it
    program = folder / "coresift"
    program.write_text(f'#!/bin/sh\nexec {PROGRAM[0]} -m coresift "$@"\n')
    program.chmod(0o755)
    return folder


def completed(work: Path, *words: str) -> list[str]:
    """What bash offers for the last word, by the script as a user has it."""
    script = (
        'PATH="$PWD:$PATH"; eval "$(coresift completion bash)"; '
        'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        "compopt() { printf 'by the shell: %s\\n' \"$2\"; }; "
        '_coresift_completion coresift; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-euc", script, "bash", "coresift", *words],
        cwd=work,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes_what_a_line_may_go_on_with(work: Path) -> None:
    assert completed(work, "clu") == ["cluster"]
    assert completed(work, "select", "k") == ["k-center", "kernel-thinning"]
    assert completed(work, "methods", "k") == ["k-center", "kernel-thinning"]
    assert completed(work, "select", "random", "emb", "--sha") == ["--shares"]
    assert completed(work, "cluster", "emb", "--metric", "") == ["l2", "cosine"]
    assert completed(work, "run", "pre") == ["pretraining-curation"]
    assert completed(work, "cluster", "em")[0] == "by the shell: default"
    assert completed(work, "evaluate", "x", "--clusters", "")[0] == "by the shell: dirnames"


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes_columns_of_the_dump_and_runs_none(work: Path) -> None:
    columns = ["label", "embedding", "$(touch pwned)"]
    assert completed(work, "select", "random", "emb", "--by", "") == columns
    assert completed(work, "evaluate", "x", "--full", "emb", "--label", "la") == ["label"]
    assert completed(work, "cluster", "emb", "--columns", "label,em") == ["label,embedding"]
    assert completed(work, "cluster", "nothing", "--columns", "") == [""]
    assert not (work / "pwned").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_are_what_the_shell_reads(shell: str, work: Path) -> None:
    done = coresift("completion", shell, cwd=work)
    assert (done.code, done.err) == (0, "")
    assert f"{shell}_complete" in done.out
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=done.out, text=True, check=True)


def test_no_other_shell_is_known(work: Path) -> None:
    assert coresift("completion", "tcsh", cwd=work).code == 2


def test_each_command_has_a_man_page_with_its_options() -> None:
    made = pages()
    assert {"coresift.1", "coresift-run.1", "coresift-select.1"} <= made.keys()
    assert {f"coresift-select-{name}.1" for name in METHODS} <= made.keys()
    context = click.Context(cli, info_name="coresift")
    assert {f"coresift-{name}.1" for name in cli.list_commands(context)} <= made.keys()
    dedup = made["coresift-select-dedup.1"]
    for option in METHODS["dedup"].params.options():
        assert option.flag.replace("-", "\\-") in dedup


def test_nothing_in_a_man_page_is_read_as_a_request() -> None:
    requests = (".TH ", ".SH ", ".B ", ".TP", ".PP", ".nf", ".fi")
    for name, page in pages().items():
        for line in page.splitlines():
            assert not line.startswith("'"), name
            assert not line.startswith(".") or line.startswith(requests), (name, line)


@pytest.mark.skipif(shutil.which("groff") is None, reason="no groff")
def test_groff_has_nothing_to_say_about_the_man_pages() -> None:
    for name in ("coresift.1", "coresift-completion.1", "coresift-select-dedup.1"):
        done = subprocess.run(
            ["groff", "-man", "-ww", "-Tutf8", "-rLL=200n"],
            input=pages()[name].encode(),
            capture_output=True,
            check=True,
        )
        assert done.stderr == b"", name
        assert name.removesuffix(".1").upper().encode() in done.stdout


def test_methods_are_grouped_by_what_one_has(work: Path) -> None:
    done = coresift("methods", cwd=work)
    assert (done.code, done.err) == (0, "")
    groups = dict(group.split("\n", 1) for group in done.out.split("\n\n")[:-1])
    listed = {
        title: [line.split()[0] for line in text.splitlines() if not line.startswith("  also")]
        for title, text in groups.items()
    }
    assert {name for names in listed.values() for name in names} == METHODS.keys()
    assert "k-center" in listed["With nothing but embeddings"]
    assert "balanced" in listed["With a clustering, from `coresift cluster`"]
    assert "top-k" in listed["With scores or losses"]
    assert "probability-coverage" in listed["With predicted probabilities"]
    assert "sensitivity" in groups["With scores or losses"]


def test_what_may_stand_in_for_another_is_said(work: Path) -> None:
    found = {
        name: json.loads(coresift("methods", name, "--json", cwd=work).out)[0]
        for name in ("influence", "bandit", "top-k")
    }
    assert (found["influence"]["needs"], found["influence"]["needs_one_of"]) == (
        ["target"],
        ["gradients", "labels"],
    )
    assert found["bandit"]["needs_one_of"] == ["score", "gradients", "labels"]
    assert (found["top-k"]["needs"], found["top-k"]["needs_one_of"]) == (["score"], [])
    shown = coresift("methods", "influence", cwd=work).out
    assert "target; one of gradients, labels" in shown


def test_help_for_one_method_still_says_everything(work: Path) -> None:
    out = coresift("methods", "dedup", cwd=work).out
    assert "Abbas et al." in out
    assert "--threshold" in out
    wrong = coresift("methods", "dedupe", cwd=work)
    assert (wrong.code, wrong.err.splitlines()[1]) == (1, "hint: did you mean dedup?")
