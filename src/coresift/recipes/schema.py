"""The JSON schema of recipes, for editors; made from what the commands say of themselves."""

from __future__ import annotations

import json
from typing import Any

from coresift.recipes.command import Command, Commands, Key
from coresift.recipes.variables import NAME

_DRAFT = "http://json-schema.org/draft-07/schema#"
# a place that is filled when the recipe is run stands for a value of any kind
_PLACE = {"type": "string", "pattern": r"\$\{[A-Za-z][A-Za-z0-9_-]*\}"}
_SCALAR: dict[str, Any] = {"type": ["string", "number", "boolean"]}
_VALUE: dict[str, Any] = {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR}]}
_NAMES = {"pattern": f"^{NAME.pattern}$"}


def schema_text(commands: Commands) -> str:
    """The schema as text."""
    return json.dumps(schema(commands), indent=1)


def schema(commands: Commands) -> dict[str, Any]:
    """A JSON schema (draft 7, which editors of TOML read) of a recipe."""
    shared = _shared(commands)
    return {
        "$schema": _DRAFT,
        "title": "Recipe of coresift",
        "description": "Steps that `coresift run` runs.",
        "type": "object",
        "required": ["steps"],
        "additionalProperties": False,
        "properties": {
            "summary": {"type": "string", "description": "What the recipe is for."},
            "variables": {
                "type": "object",
                "description": "Values that --set NAME=VALUE sets: a default, or a table with "
                "`help` and, unless it must be set, `default`.",
                "propertyNames": _NAMES,
                "additionalProperties": _variable(),
            },
            "common": {
                "type": "object",
                "description": "Keys of every step whose command has them.",
                "propertyNames": {"enum": sorted(_keys(commands))},
                "additionalProperties": _VALUE,
            },
            "steps": {
                "type": "object",
                "description": "The steps by name; ${name} elsewhere is where its result is.",
                "minProperties": 1,
                "propertyNames": _NAMES,
                "additionalProperties": _step(commands, shared),
            },
        },
        "definitions": {**shared, "filled-in": _PLACE},
    }


def _variable() -> dict[str, Any]:
    told = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"default": _VALUE, "help": {"type": "string"}},
    }
    return {"anyOf": [_VALUE, told]}


def _keys(commands: Commands) -> set[str]:
    return {name for command in commands.values() for name in command.keys}


def _shared(commands: Commands) -> dict[str, Any]:
    """What most commands that have a key say of it, by name."""
    forms: dict[str, list[dict[str, Any]]] = {}
    for command in commands.values():
        for key in command.keys.values():
            forms.setdefault(key.name, []).append(_key(key))
    return {name: max(found, key=found.count) for name, found in sorted(forms.items())}


def _step(commands: Commands, shared: dict[str, Any]) -> dict[str, Any]:
    """A step is one of the commands; `run` says which, so that an editor shows its keys alone."""
    return {
        "type": "object",
        "required": ["run"],
        "properties": {"run": {"enum": list(commands), "description": "The command."}},
        "allOf": [
            {
                "if": {"properties": {"run": {"const": name}}, "required": ["run"]},
                "then": _of(command, shared),
            }
            for name, command in commands.items()
        ],
    }


def _of(command: Command, shared: dict[str, Any]) -> dict[str, Any]:
    output = {
        "type": "string",
        "description": "Name of the result within the working directory.  [default: the step's "
        f"name{', with ' + command.suffix if command.suffix else ''}]",
    }
    return {
        "additionalProperties": False,
        "properties": {
            "run": {"const": command.name},
            "output": output,
            **{key.name: _referred(key, shared) for key in command.keys.values()},
        },
    }


def _referred(key: Key, shared: dict[str, Any]) -> dict[str, Any]:
    form = _key(key)
    return {"$ref": f"#/definitions/{key.name}"} if form == shared[key.name] else form


def _key(key: Key) -> dict[str, Any]:
    described: dict[str, Any] = {"description": key.help}
    if key.default is not None:
        described["default"] = key.default
    forms = [_form(key), {"$ref": "#/definitions/filled-in"}]
    if key.many or key.listed:
        forms.append({"type": "array", "items": {"anyOf": list(forms)}})
    return {**described, "anyOf": forms}


def _form(key: Key) -> dict[str, Any]:
    """What the value itself may be."""
    if key.choices:
        return {"enum": list(key.choices)}
    if key.kind == "flag":
        return {"type": "boolean"}
    if key.kind in ("integer", "number"):
        number: dict[str, Any] = {"type": key.kind}
        if key.minimum is not None:
            number["minimum"] = key.minimum
        if key.maximum is not None:
            number["maximum"] = key.maximum
        return {"anyOf": [number, {"enum": list(key.words)}]} if key.words else number
    # 5000 and 8 are read like "5000" and "8"
    return {"type": ["string", "number"]} if key.kind == "text" else {"type": "string"}
