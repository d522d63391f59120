"""coresift methods."""

from __future__ import annotations

from collections.abc import Sequence

import click

from coresift.cli import options
from coresift.cli.types import MethodName
from coresift.selection import registry
from coresift.selection.registry import Method

# what may be at hand, and its names in the registry; a method stands by the last that it needs
_GROUPS: dict[str, tuple[str, ...]] = {
    "With nothing but embeddings": (),
    "With a clustering, from `coresift cluster`": ("clustering",),
    "With scores or losses": ("score", "losses"),
    "With predicted probabilities": ("probabilities",),
    "With labels, or gradients and a target": ("labels", "gradients", "target"),
}


@click.command("methods")
@click.argument("name", required=False, type=MethodName())
@options.show_options
def command(name: str | None, as_json: bool, **_: bool) -> None:
    """The selection methods, their papers and needs."""
    from coresift.cli import console

    chosen = [registry.find(name)] if name else list(registry.METHODS.values())
    if as_json:
        console.show_json([method.to_json() for method in chosen])
    elif name:
        _show_one(chosen[0])
    else:
        _show_groups(chosen)


def _show_one(method: Method) -> None:
    from coresift.cli import console

    facts: dict[str, object] = {
        method.name: method.summary,
        "  paper": method.paper or "none",
        "  needs": _needs(method),
        "  streams": method.streaming,
    }
    for option in method.params.options():
        facts[f"  {option.flag}"] = option.help
    console.show_facts(facts)


def _show_groups(methods: Sequence[Method]) -> None:
    """The methods by what a user must have, and after these what others make use of."""
    from coresift.cli import console

    for title, names in _GROUPS.items():
        here = [method for method in methods if _group(method) == title]
        also = [
            method.name
            for method in methods
            if {*method.takes, *method.either} & set(names) and method not in here
        ]
        if not here and not also:
            continue
        facts: dict[str, object] = {f"  {method.name}": method.summary for method in here}
        if also:
            facts["  also used by"] = ", ".join(also)
        console.show_text(title)
        console.show_facts(facts)
        console.show_text("")
    console.show_text("`coresift methods NAME` shows a method's paper, needs and options.")


def _group(method: Method) -> str:
    needs = {*method.needs, *method.either[:1]}
    found = [title for title, names in _GROUPS.items() if set(names) & needs]
    return found[-1] if found else next(iter(_GROUPS))


def _needs(method: Method) -> str:
    parts = [", ".join(method.needs)] if method.needs else []
    if method.either:
        parts.append(f"one of {', '.join(method.either)}")
    return "; ".join(parts) or "nothing but the dump"
