"""coresift doctor."""

from __future__ import annotations

import click

from coresift.cli import options


@click.command("doctor")
@options.show_options
def command(as_json: bool, **_: bool) -> None:
    """What will be used on this machine, and what is missing."""
    from coresift.api.doctor import doctor
    from coresift.cli import console
    from coresift.core.size import format_bytes

    found = doctor()
    if as_json:
        console.show_json(found.to_json())
        return
    facts: dict[str, object] = {
        "coresift": f"{found.version}, Python {found.python}",
        "packages": ", ".join(f"{name} {version}" for name, version in found.packages.items()),
        "processor": f"{found.processor}, {found.threads} threads",
    }
    for blas in found.blas:
        facts["BLAS"] = f"{blas['library']} {blas['version']} for {blas['architecture']}"
    facts["memory"] = (
        f"{format_bytes(found.memory['available'])} free, a run takes up to "
        f"{format_bytes(found.memory['budget'])}"
    )
    facts["scratch"] = f"{found.scratch['folder']}, {format_bytes(found.scratch['free'])} free"
    facts["GPUs"] = found.gpus or "none that faiss can use"
    facts["kernel"] = found.kernel
    for extra, details in found.extras.items():
        facts[f"coresift[{extra}]"] = f"{details['version'] or 'missing'} ({details['enables']})"
    console.show_facts(facts)
