"""The recipes that come with coresift, and recipes of users' own."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from coresift.core.errors import InputError, OutputError
from coresift.recipes.command import unknown

_FOLDER = "shipped"


def names() -> list[str]:
    """Names of the recipes that are shipped, in the order of the alphabet."""
    folder = resources.files(__package__).joinpath(_FOLDER)
    files = (Path(item.name) for item in folder.iterdir())
    return sorted(file.stem for file in files if file.suffix == ".toml")


def text_of(name: str) -> str:
    """Text of a shipped recipe.

    Raises
    ------
    RecipeError
        When there is none of the name.
    """
    known = names()
    if name not in known:
        raise unknown("no recipe", name, known)
    return resources.files(__package__).joinpath(_FOLDER, f"{name}.toml").read_text("utf-8")


def open_recipe(recipe: str | os.PathLike[str]) -> str:
    """Text of a recipe: of a file, or else of a shipped one by its name.

    Raises
    ------
    InputError
        When the file cannot be read.
    RecipeError
        When it is no file, and none of the name is shipped.
    """
    path = Path(recipe)
    if not path.is_file() and path.suffix != ".toml" and len(path.parts) == 1:
        return text_of(str(recipe))
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text in UTF-8") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{str(path)!r}: {error}") from None


def copy_out(name: str, path: Path) -> None:
    """Write a shipped recipe where it can be changed.

    Raises
    ------
    RecipeError
        When there is none of the name.
    OutputError
        When the file exists already, or cannot be written.
    """
    text = text_of(name)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise OutputError(f"{path}: exists already", hint="choose another name") from None
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
