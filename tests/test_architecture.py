"""The house stays in order: light imports, small files, documented commands."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import click
import pytest

import coresift
from coresift.cli.main import cli

SOURCE = Path(coresift.__file__).parent
HEAVY = ("numpy", "scipy", "sklearn", "pyarrow", "faiss", "superkmeans", "rich", "fsspec")


def loaded(code: str) -> set[str]:
    """Heavy packages that a piece of code imports."""
    show = f"import sys\n{code}\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        "import coresift",
        "from coresift.cli.main import run; run(['--help'])",
        "from coresift.cli.main import run; run(['cluster', '--help'])",
        "from coresift.cli.main import run; run(['select', 'sensitivity', '--help'])",
        "from coresift.cli.main import run; run(['weights', '--help'])",
        "from coresift.cli.main import run; run(['methods', '--json'])",
        "from coresift.cli.main import run; run(['run', '--help'])",
        "from coresift.cli.main import run; run(['run', '--list', '--json'])",
        "from coresift.cli.main import run; run(['run', '--schema'])",
        "from coresift.cli.main import run; run(['completion', 'bash'])",
    ],
)
def test_help_imports_nothing_heavy(code: str) -> None:
    assert loaded(code) == set()


def test_a_verb_imports_no_optional_package(tmp_path: Path) -> None:
    code = (
        "import numpy, pyarrow as pa, pyarrow.parquet as pq, coresift\n"
        "v = pa.array(numpy.eye(8, dtype='f4').reshape(-1))\n"
        f"pq.write_table(pa.table({{'e': pa.FixedSizeListArray.from_arrays(v, 8)}}), "
        f"{str(tmp_path / 'e.parquet')!r})\n"
        f"coresift.cluster({str(tmp_path / 'e.parquet')!r}, k=2, output={str(tmp_path / 'c')!r})"
    )
    assert loaded(code) & {"sklearn", "faiss", "superkmeans", "rich", "fsspec"} == set()


def test_only_the_console_knows_rich() -> None:
    known = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if "rich" in {name.partition(".")[0] for name in imported(node)}
    }
    assert known == {"cli/console.py"}


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module]
    return []


def test_files_are_small() -> None:
    long = {
        str(path.relative_to(SOURCE)): lines
        for path in SOURCE.rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert long == {}


def commands(command: click.Command, name: str) -> list[tuple[str, click.Command]]:
    found = [(name, command)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for child in command.list_commands(context):
            below = command.get_command(context, child)
            assert below is not None
            found += commands(below, f"{name} {child}")
    return found


@pytest.mark.parametrize(
    ("name", "command"), commands(cli, "coresift"), ids=lambda value: str(value)[:40]
)
def test_every_command_and_option_is_documented(name: str, command: click.Command) -> None:
    assert command.help, name
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.name}"


def test_the_list_of_commands_says_what_they_say() -> None:
    from coresift.cli.main import _COMMANDS

    context = click.Context(cli)
    for name, summary in _COMMANDS.items():
        command = cli.get_command(context, name)
        assert command is not None
        assert command.help is not None
        assert command.help.splitlines()[0] == summary


def test_the_public_surface() -> None:
    assert all(getattr(coresift, name) is not None for name in coresift.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = coresift.nothing
