"""Variables of a recipe, and ``${name}`` in its values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coresift.recipes.command import RecipeError, unknown

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_PLACE = re.compile(r"\$(\$|\{[^}]*\}?)")
_KEYS = ("default", "help")

Scalar = str | int | float | bool


@dataclass(frozen=True)
class Variable:
    """A value that is set when a recipe is run.

    Attributes
    ----------
    name : str
        As in ``${name}`` and ``--set name=value``.
    default : str, number, bool, list or None
        None when it must be set.
    help : str
        What it is for.
    """

    name: str
    default: Any
    help: str


def require_name(name: str, what: str) -> None:
    """Refuse a name that could not be a folder's, or could not stand in ``${}``.

    Raises
    ------
    RecipeError
        Naming it.
    """
    if not NAME.fullmatch(name):
        raise RecipeError(
            f"{what} {name!r} has a name that is not of letters, digits, '_' and '-'",
            hint="begin it with a letter",
        )


def read_variables(table: Mapping[str, Any]) -> dict[str, Variable]:
    """Variables of the table ``[variables]``: a default, or a table that explains itself.

    Raises
    ------
    RecipeError
        When a name or a value is none.
    """
    found = {}
    for name, value in table.items():
        require_name(name, "variable")
        told = value if isinstance(value, dict) else {"default": value}
        for key in told:
            if key not in _KEYS:
                raise unknown(f"variable {name!r}: no key", key, _KEYS)
        default = told.get("default")
        if default is not None:
            require_value(default, f"variable {name!r}")
        found[name] = Variable(name, default, str(told.get("help", "")))
    return found


def require_value(value: object, what: str) -> None:
    """Refuse what an option cannot take: a date, a table, a list of lists.

    Raises
    ------
    RecipeError
        Naming what it was found for.
    """
    items = value if isinstance(value, list) else [value]
    for item in items:
        if not isinstance(item, Scalar):
            raise RecipeError(
                f"{what} is a {type(item).__name__}, expected a text, a number, true, false or a "
                "list of these"
            )
        if isinstance(item, str) and "\0" in item:
            raise RecipeError(f"{what} has a null character in it")


def read_settings(settings: Sequence[str]) -> dict[str, str]:
    """Values of ``--set name=value``, later ones first in precedence.

    Raises
    ------
    RecipeError
        When one is not of this form.
    """
    found = {}
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise RecipeError(f"--set {text!r} is not of the form name=value", hint="--set n=10%")
        found[name] = value
    return found


def resolve(variables: Mapping[str, Variable], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Value of each variable; None where it has none.

    Raises
    ------
    RecipeError
        When something is set that is no variable, or to what is no value.
    """
    for name, value in settings.items():
        if name not in variables:
            raise unknown("--set: no variable", name, variables)
        require_value(value, f"--set {name}")
    return {**{name: item.default for name, item in variables.items()}, **settings}


class Places:
    """What ``${name}`` stands for.

    Parameters
    ----------
    values : mapping of str to object
        Of the variables; None where one must be set and is not.
    outputs : mapping of str to str
        Of the steps: where each leaves its result.
    """

    def __init__(self, values: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
        for name in values:
            if name in outputs:
                raise RecipeError(
                    f"{name!r} is a variable and a step", hint="give one of them another name"
                )
        self._values = values
        self._outputs = outputs

    def names(self, value: object) -> set[str]:
        """Steps that a value speaks of.

        Raises
        ------
        RecipeError
            When it speaks of what is neither a step nor a variable.
        """
        texts: Iterable[object] = value if isinstance(value, list) else [value]
        found = {
            self._name(match)
            for text in texts
            if isinstance(text, str)
            for match in _PLACE.finditer(text)
            if match[1] != "$"
        }
        return found & self._outputs.keys()

    def fill(self, value: object, outputs: Mapping[str, str] | None = None) -> Any:
        """The value with all places filled; one that is nothing but a variable keeps its type.

        ``outputs`` stands in for where steps leave their results.

        Raises
        ------
        RecipeError
            When a variable has no value, or a list stands within a text.
        """
        if isinstance(value, list):
            return [item for part in value for item in self._several(self.fill(part, outputs))]
        if not isinstance(value, str):
            return value
        whole = _PLACE.fullmatch(value)
        if whole is not None and whole[1] != "$":
            return self._value(self._name(whole), outputs)
        return _PLACE.sub(lambda match: self._text(match, outputs), value)

    def _several(self, value: Any) -> list[Any]:
        return value if isinstance(value, list) else [value]

    def _text(self, match: re.Match[str], outputs: Mapping[str, str] | None) -> str:
        if match[1] == "$":
            return "$"
        name = self._name(match)
        value = self._value(name, outputs)
        if isinstance(value, list):
            raise RecipeError(f"variable {name!r} is a list, and stands within a text")
        return str(value).lower() if isinstance(value, bool) else str(value)

    def _value(self, name: str, outputs: Mapping[str, str] | None) -> Any:
        if name in self._outputs:
            return (outputs or self._outputs)[name]
        value = self._values[name]
        if value is None:
            raise RecipeError(
                f"variable {name!r} has no value", hint=f"give it: --set {name}=VALUE"
            )
        return value

    def _name(self, match: re.Match[str]) -> str:
        text = match[1]
        if not text.endswith("}"):
            raise RecipeError(f"'${text}' has no closing brace", hint="write $$ for a dollar sign")
        name = text[1:-1]
        if name not in self._values and name not in self._outputs:
            raise unknown("no variable or step", name, [*self._values, *self._outputs])
        return name
