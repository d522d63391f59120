"""The command line that makes a result again, from its provenance."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from coresift.evaluation.panel import asked_for
from coresift.io.dump import InputOptions
from coresift.io.provenance import Provenance
from coresift.selection import registry

_LINE = 88
_SHORT = {"k": "-k", "size": "-n"}


def command_line(provenance: Provenance, output: str) -> list[str]:
    """Arguments that, given to ``coresift``, make the result again.

    Parameters
    ----------
    provenance : Provenance
        Of a clustering or a selection.
    output : str
        Where the new result goes.
    """
    words = [provenance.command]
    if provenance.command == "select":
        words.append(provenance.method)
    words += provenance.paths
    params = dict(provenance.params)
    size = params.pop("size", None) if provenance.command == "select" else None
    if size is not None:
        words += ["-n", str(size)]
    if provenance.command == "cluster" and provenance.method != "kmeans":
        words += ["--method", provenance.method]
    clustering = provenance.parents.get("clustering")
    if clustering is not None:
        words += ["--clusters", clustering["path"]]
    words += _options(params)
    words += _options(_changed(provenance.options))
    words += ["--seed", str(provenance.seed)]
    words += _options(provenance.output)
    return [*words, "-o", output]


def comparison_line(provenance: Provenance, output: str) -> list[str]:
    """Arguments that, given to ``coresift``, compare again.

    Parameters
    ----------
    provenance : Provenance
        Of a comparison.
    output : str
        Where the new result goes.
    """
    params = dict(provenance.params)
    methods, sizes = params.pop("methods"), params.pop("sizes")
    label, near = params.get("label"), params.get("near")
    if params["metrics"] == sorted(
        asked_for(None, label=label is not None, agree=False, near=near)
    ):
        # the usual ones
        del params["metrics"]
    words = ["compare", *provenance.paths]
    for size in sizes:
        words += ["-n", str(size)]
    words += ["--methods", provenance.method]
    for name, values in methods.items():
        known = registry.METHODS.get(name)
        usual = {item.name: item.default for item in known.params.options()} if known else {}
        for option, value in values.items():
            if value not in (None, [], usual.get(option)):
                for one in value if isinstance(value, list) else [value]:
                    text = str(one).lower() if isinstance(one, bool) else _text(one)
                    words += ["--set", f"{name}.{option}={text}"]
    clustering = provenance.parents.get("clustering")
    if clustering is not None:
        words += ["--clusters", clustering["path"]]
    words += _options(params)
    words += _options(_changed(provenance.options))
    return [*words, "--seed", str(provenance.seed), "-o", output]


def report_line(
    name: str, given: Mapping[str, Any], defaults: Mapping[str, Any], common: Mapping[str, Any]
) -> list[str]:
    """Arguments that, given to ``coresift``, make a report again.

    Parameters
    ----------
    name : str
        Of the result.
    given, defaults : mapping
        Options of ``report``, and what they are where they are not given.
    common : mapping
        Options of every verb; those count that what is shown depends on.
    """
    told = {option: value for option, value in given.items() if value != defaults[option]}
    if told.pop("metrics", True) is False:
        told["no_metrics"] = True
    output = told.pop("output", None)
    words = ["report", name, *_options(told), *_options(_changed(common))]
    if common.get("seed"):
        words += ["--seed", str(common["seed"])]
    return words if output is None else [*words, "-o", str(output)]


def shell(arguments: list[str]) -> str:
    """Arguments as a line for a shell; a long one is cut before each option."""
    line = shlex.join(["coresift", *arguments])
    if len(line) <= _LINE:
        return line
    lines = ["coresift"]
    for word in arguments:
        if word.startswith("-") and not word[1:2].isdigit():
            lines.append(f"    {word}")
        else:
            lines[-1] += f" {shlex.quote(word)}"
    return " \\\n".join(lines)


def beside(name: str, what: str) -> str:
    """A name like that of a result, for another of its kind."""
    base = name.removesuffix(".parquet").rstrip("/")
    return f"{base}-{what}" + (".parquet" if name.endswith(".parquet") else "")


def _changed(options: Mapping[str, Any]) -> dict[str, Any]:
    """Input options that are not the default."""
    plain = {item.name: item.default for item in fields(InputOptions)}
    return {
        name: value
        for name, value in options.items()
        if name in plain and value not in (None, [], ()) and value != plain[name]
    }


def _options(values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        flag = _SHORT.get(name, "--" + name.replace("_", "-"))
        if value is None or value is False or value == "":
            continue
        if value is True:
            yield flag
        elif isinstance(value, list | tuple) and name in ("k", "columns", "metrics"):
            yield from (flag, ",".join(str(part) for part in value))
        elif isinstance(value, list | tuple):
            for part in value:
                yield from (flag, str(part))
        else:
            yield from (flag, _text(value))


def _text(value: object) -> str:
    """A value as people write it."""
    return f"{value:g}" if isinstance(value, float) and value == int(value) else str(value)
