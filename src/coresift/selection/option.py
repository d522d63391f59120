"""What an option of a selection method is: its kind, its bounds, how it is read.

The command line makes its options, and Python its keywords, from the fields of a frozen
dataclass; nothing heavy is imported here.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from coresift.core.errors import ParameterError

Kind = Literal["text", "texts", "column", "sources", "paths", "path", "output", "number", "flag"]
Value = str | float | bool | tuple[str, ...] | None


@dataclass(frozen=True)
class Option:
    """One option of a method, as the command line shows it.

    Attributes
    ----------
    field : str
        Name of the dataclass field.
    name : str
        Name in JSON, in a config file and as a Python key: ``with_replacement``.
    flag : str
        On the command line: ``--with-replacement``.
    kind : {"text", "texts", "column", "sources", "paths", "path", "output", "number", "flag"}
        What it takes: a column of the input or an expression of some, a path that is read, a
        source that is a column or a path, an output that is written; a flag takes nothing.
        ``texts``, ``sources`` and ``paths`` may be given several times.
    help : str
        One or two sentences.
    default : object
        None when there is none, or when ``help`` says what happens without it.
    metavar : str
        What stands for the value in help.
    choices : tuple of str
        Allowed texts; empty when any will do.
    minimum, maximum : float or None
        Bounds of a number, both inclusive.
    words : tuple of str
        Words that may stand in the place of a number or a path.
    """

    field: str
    name: str
    flag: str
    kind: Kind
    help: str
    default: str | float | bool | None
    metavar: str
    choices: tuple[str, ...]
    minimum: float | None
    maximum: float | None
    words: tuple[str, ...]

    def read(self, value: object) -> Value:
        """Value of the option's kind, within its bounds.

        Raises
        ------
        ParameterError
            Naming the option, the value found and what is expected.
        """
        if value is None:
            return self.default
        if self.kind == "flag":
            if not isinstance(value, bool):
                raise ParameterError(f"{self.flag} {value!r} is neither true nor false")
            return value
        if self.kind == "number":
            return self._number(value)
        if self.kind in ("texts", "sources", "paths"):
            if isinstance(value, Sequence) and not isinstance(value, str):
                return tuple(str(item) for item in value) or None
            return (str(value),)
        text = str(value)
        if self.choices and text not in self.choices:
            raise ParameterError(f"{self.flag} {text!r} is not one of {', '.join(self.choices)}")
        return text

    def _number(self, value: object) -> str | float:
        if isinstance(value, str) and value in self.words:
            return value
        try:
            number = float(str(value))
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            words = "".join(f" or {word}" for word in self.words)
            raise ParameterError(f"{self.flag} {value!r} is not a number{words}")
        if self.minimum is not None and number < self.minimum:
            raise ParameterError(f"{self.flag} {number:g} is less than {self.minimum:g}")
        if self.maximum is not None and number > self.maximum:
            raise ParameterError(f"{self.flag} {number:g} is more than {self.maximum:g}")
        return number


def option(
    text: str,
    *,
    kind: Kind = "text",
    default: str | float | bool | None = None,
    metavar: str = "",
    choices: tuple[str, ...] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    words: tuple[str, ...] = (),
) -> Any:
    """Declare a dataclass field that is an option."""
    return dataclasses.field(
        default=default,
        metadata={
            "kind": kind,
            "help": text,
            "default": default,
            "metavar": metavar or "|".join(choices) or kind.upper(),
            "choices": choices,
            "minimum": minimum,
            "maximum": maximum,
            "words": words,
        },
    )


@dataclass(frozen=True)
class Params:
    """The options of one method; subclasses add the fields."""

    @classmethod
    def options(cls) -> tuple[Option, ...]:
        """Return the options in the order they are shown."""
        found = []
        for item in dataclasses.fields(cls):
            name = item.name.rstrip("_")
            flag = "--" + name.replace("_", "-")
            found.append(Option(field=item.name, name=name, flag=flag, **item.metadata))
        return tuple(found)

    @classmethod
    def build(cls, values: Mapping[str, object], method: str) -> Self:
        """Read options by name and check them.

        Raises
        ------
        ParameterError
            When a name is unknown, a value is out of its bounds, or options do not go together.
        """
        known = {item.name: item for item in cls.options()}
        read = {}
        for key, value in values.items():
            item = known.get(key.replace("-", "_").rstrip("_"))
            if item is None:
                near = difflib.get_close_matches(key, known, 1)
                names = ", ".join(known)
                raise ParameterError(
                    f"{method} has no option {key!r}",
                    hint=f"did you mean {near[0]!r}?" if near else f"it has {names}",
                )
            read[item.field] = item.read(value)
        params = cls(**read)
        params.check()
        return params

    def check(self) -> None:
        """Refuse values that are out of bounds, and options that do not go together.

        Raises
        ------
        ParameterError
            Naming the options.
        """
        for item in self.options():
            item.read(getattr(self, item.field))

    def to_json(self) -> dict[str, Value]:
        """Return the options by name."""
        return {item.name: getattr(self, item.field) for item in self.options()}
