"""coresift completion."""

from __future__ import annotations

import click

_SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(_SHELLS))
def command(shell: str) -> None:
    r"""Print a script that lets the shell complete commands.

    It completes commands, methods, options, their values, paths, and the columns of the dump that
    the line names.

    \b
    bash   eval "$(coresift completion bash)", in ~/.bashrc
    zsh    eval "$(coresift completion zsh)", in ~/.zshrc
    fish   coresift completion fish > ~/.config/fish/completions/coresift.fish
    """
    from coresift.cli import console
    from coresift.cli.main import completion_script

    console.show_text(completion_script(shell))
