"""Find the function that a user named, and call it.

Nothing is unpickled here: the user's function loads the model, by whatever means it trusts.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from coresift.core.errors import CoresiftError, InputError, MissingExtraError, ParameterError
from coresift.influence.models.base import RowModel

_HINT = (
    "it returns (module, loss) or (module, loss, inputs) for PyTorch, (estimator, inputs) for "
    "scikit-learn; see docs/gradients.md"
)


def load_model(name: str, layers: str | None, device: str) -> RowModel:
    """Call ``module:function`` and take what it returns as a model.

    Parameters
    ----------
    name : str
        ``module:function``, looked for in the working directory too, or ``FILE.py:function``.
    layers : str, optional
        Patterns of the layers whose gradients are wanted, separated by commas.
    device : str
        ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    CoresiftError
        When there is no such function, it fails, or what it returns is no model.
    """
    function = _find(name)
    try:
        found = function()
    except CoresiftError:
        raise
    except ImportError as error:
        raise _not_imported(name, error) from error
    except (Exception, SystemExit) as error:
        raise InputError(
            f"--model {name}: the function raised {type(error).__name__}: {_line(error)}",
            hint="call it in Python to see where",
        ) from error
    return _understand(name, found, layers, device)


def _find(name: str) -> Callable[[], Any]:
    place, _, attribute = name.rpartition(":")
    if not place or not attribute.isidentifier():
        raise ParameterError(
            f"--model {name!r} is not of the form module:function",
            hint="for example --model my_model:load, or --model path/my_model.py:load",
        )
    try:
        module = _from_file(Path(place)) if place.endswith(".py") else _by_name(place)
    except CoresiftError:
        raise
    except ImportError as error:
        raise _not_imported(name, error) from error
    except (Exception, SystemExit) as error:
        raise InputError(
            f"--model {name}: importing it raised {type(error).__name__}: {_line(error)}"
        ) from error
    function = getattr(module, attribute, None)
    if not callable(function):
        raise InputError(
            f"--model {name}: no function {attribute!r} in {place}",
            hint=f"it has {_functions(module)}",
        )
    return function  # type: ignore[no-any-return]


def _functions(module: ModuleType) -> str:
    names = [
        name
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", None) == module.__name__
    ]
    return ", ".join(names[:12]) or "none"


def _by_name(name: str) -> ModuleType:
    # as for `python -m`, what lies in the working directory can be imported
    here = os.getcwd()  # noqa: PTH109
    if here not in sys.path:
        sys.path.insert(0, here)
    return importlib.import_module(name)


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise InputError(f"--model: no file {path}")
    folder = str(path.parent.absolute())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # what the file defines can be found by its name, for copies of its objects
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _not_imported(name: str, error: ImportError) -> CoresiftError:
    if error.name == "torch":
        return MissingExtraError("torch", "torch", f"--model {name}")
    return InputError(
        f"--model {name}: {_line(error)}",
        hint="the module must be importable, or lie in the working directory",
    )


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def _understand(name: str, found: object, layers: str | None, device: str) -> RowModel:
    parts = found if isinstance(found, tuple) else (found,)
    if _is_torch(parts[0] if parts else None):
        if len(parts) not in (2, 3) or not all(callable(part) for part in parts):
            raise InputError(f"--model {name}: a torch module without a loss", hint=_HINT)
        from coresift.influence.models.pytorch import TorchModel

        return TorchModel(*parts, layers=layers, device=device)
    if len(parts) == 2 and hasattr(parts[0], "get_params") and callable(parts[1]):
        if layers is not None:
            raise ParameterError(
                "--layers is for PyTorch: a linear model of scikit-learn has one layer",
                hint="leave it out",
            )
        from coresift.influence.models.linear import LinearModel

        return LinearModel(*parts)
    kinds = ", ".join(type(part).__name__ for part in parts)
    raise InputError(f"--model {name}: the function returned ({kinds})", hint=_HINT)


def _is_torch(value: object) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)
