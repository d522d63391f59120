"""Gradients of a PyTorch module, row by row, by ``torch.func``."""

from __future__ import annotations

import copy
import fnmatch
import hashlib
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from coresift.core.errors import CoresiftError, InputError, ParameterError, ResourceError
from coresift.influence.models.base import Batch

Tensors = dict[str, torch.Tensor]
Loss = Callable[[nn.Module, Tensors], torch.Tensor]
Inputs = Callable[[Batch], Tensors]


class _WithLoss(nn.Module):
    """A module whose output is the loss, so that parameters can be swapped for both."""

    def __init__(self, module: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.module = module
        self._loss = loss

    def forward(self, batch: Tensors) -> torch.Tensor:
        return self._loss(self.module, batch)


class TorchModel:
    """A module and its loss, as a :class:`~coresift.influence.models.base.RowModel`.

    The loss is called with a batch of one row, and vectorised over rows by ``vmap``. What ``vmap``
    cannot do (a loss that branches on a value, say) is done row after row. The module is put into
    evaluation mode. Each thread works on a copy of its own, and torch's own threads are held to
    one, so that their number changes no result.

    Parameters
    ----------
    module : torch.nn.Module
        The trained model.
    loss : callable
        Takes the module and a batch of tensors, each with a first axis of rows; returns the mean
        loss, or that of each row.
    inputs : callable, optional
        Makes the batch from columns by name; by default each column that holds numbers is a
        tensor.
    layers : str, optional
        Patterns of names of layers or parameters; by default the last linear layer.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    """

    kind = "torch"

    def __init__(
        self,
        module: nn.Module,
        loss: Loss,
        inputs: Inputs | None = None,
        *,
        layers: str | None = None,
        device: str = "auto",
    ) -> None:
        self._device = _device(device)
        self._module = copy.deepcopy(module).to(self._device).eval()
        self._loss, self._inputs = loss, inputs
        self.notes: tuple[str, ...] = ()
        self.layers = _chosen(self._module, layers)
        for name, parameter in self._module.named_parameters():
            parameter.requires_grad_(name in self.layers)
        known = dict(self._module.named_parameters())
        self.parameters = sum(known[name].numel() for name in self.layers)
        self.digest = _digest(self._module)
        self._vectorised = True
        self._own = threading.local()
        self._threads = torch.get_num_threads()

    def probe(self, batch: Batch) -> None:
        """Try some rows, and find out whether ``vmap`` can do them."""
        tensors = self._tensors(batch)
        torch.set_num_threads(1)
        try:
            self._by_vmap(tensors)
        except Exception as error:  # noqa: BLE001  # whatever it is, the plain way may do
            reason = _line(error)[:120]
            self._plainly(tensors)
            self._vectorised = False
            self.notes = (f"rows were taken one by one, since vmap cannot: {reason}",)

    def gradients(self, batch: Batch) -> Sequence[NDArray[np.float32]]:
        """Of each parameter, in the order of ``layers``."""
        torch.set_num_threads(1)
        tensors = self._tensors(batch)
        found = self._by_vmap(tensors) if self._vectorised else self._plainly(tensors)
        rows = len(next(iter(tensors.values())))
        return [part.detach().to("cpu", torch.float32).reshape(rows, -1).numpy() for part in found]

    def _copy(self) -> _WithLoss:
        """The one of this thread: parameters are swapped in place while the loss is computed."""
        held: _WithLoss | None = getattr(self._own, "model", None)
        if held is None:
            held = self._own.model = _WithLoss(copy.deepcopy(self._module), self._loss)
        return held

    def _by_vmap(self, tensors: Tensors) -> list[torch.Tensor]:
        model = self._copy()
        known = dict(model.named_parameters())
        wanted = {f"module.{name}": known[f"module.{name}"].detach() for name in self.layers}

        def loss(parameters: Tensors, row: Tensors) -> torch.Tensor:
            batch = {name: value.unsqueeze(0) for name, value in row.items()}
            return _scalar(torch.func.functional_call(model, parameters, (batch,)))

        found = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(wanted, tensors)
        return [found[name] for name in wanted]

    def _plainly(self, tensors: Tensors) -> list[torch.Tensor]:
        model = self._copy()
        known = dict(model.named_parameters())
        wanted = [known[f"module.{name}"] for name in self.layers]
        rows = []
        try:
            for row in range(len(next(iter(tensors.values())))):
                batch = {name: value[row : row + 1] for name, value in tensors.items()}
                value = _scalar(model(batch))
                rows.append(torch.autograd.grad(value, wanted, materialize_grads=True))
        except CoresiftError:
            raise
        except Exception as error:
            shapes = ", ".join(f"{name} {tuple(t.shape)}" for name, t in tensors.items())
            raise InputError(
                f"--model: the loss raised {type(error).__name__}: {_line(error)}",
                hint=f"it was given rows of {shapes}",
            ) from error
        return [torch.stack(parts) for parts in zip(*rows, strict=True)]

    def _tensors(self, batch: Batch) -> Tensors:
        rows = len(next(iter(batch.values())))
        found: Any
        if self._inputs is None:
            found = {name: _as_tensor(v) for name, v in batch.items() if isinstance(v, np.ndarray)}
        else:
            try:
                found = self._inputs(batch)
            except Exception as error:
                raise InputError(
                    f"--model: its inputs raised {type(error).__name__}: {_line(error)}",
                    hint=f"it was given the columns {', '.join(batch)}",
                ) from error
        if not isinstance(found, dict) or not found:
            raise InputError(
                "--model: no column that holds numbers of one shape"
                if self._inputs is None
                else f"--model: its inputs gave a {type(found).__name__}, expected a dict of "
                "tensors",
                hint="return (module, loss, inputs), where inputs makes tensors from columns",
            )
        for name, value in found.items():
            if not isinstance(value, torch.Tensor) or value.shape[:1] != (rows,):
                shape = tuple(value.shape) if isinstance(value, torch.Tensor) else None
                raise InputError(
                    f"--model: the input {name!r} is a {type(value).__name__} of shape {shape}, "
                    f"expected a tensor of {rows} rows",
                    hint="the first axis of each input is that of the rows",
                )
        return {name: value.to(self._device) for name, value in found.items()}

    def close(self) -> None:
        """Give torch its threads back."""
        torch.set_num_threads(self._threads)


def _device(wanted: str) -> torch.device:
    there = wanted != "cpu" and torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise ResourceError(
            "--device cuda: torch finds no GPU that it can use", hint="leave --device out"
        )
    return torch.device("cuda" if there else "cpu")


def _chosen(module: nn.Module, patterns: str | None) -> tuple[str, ...]:
    """Names of the parameters that patterns match, in the module's order."""
    names = [name for name, _ in module.named_parameters()]
    if patterns is None:
        linear = [name for name, layer in module.named_modules() if isinstance(layer, nn.Linear)]
        if not linear:
            raise ParameterError(
                "--model: no linear layer, whose gradients are the default",
                hint=f"name layers with --layers; the parameters are {', '.join(names[:12])}",
            )
        prefix = f"{linear[-1]}." if linear[-1] else ""
        return tuple(name for name in names if name.startswith(prefix) and name != prefix)
    found: set[str] = set()
    for pattern in patterns.split(","):
        matched = [name for name in names if _matches(name, pattern.strip())]
        if not matched:
            raise ParameterError(
                f"--layers: {pattern.strip()!r} matches no layer or parameter",
                hint=f"the parameters are {', '.join(names[:12])}",
            )
        found.update(matched)
    chosen = [name for name in names if name in found]
    # an adapter's base is frozen: it was not trained
    trained = [name for name, value in module.named_parameters() if value.requires_grad]
    return tuple([name for name in chosen if name in trained] or chosen)


def _matches(name: str, pattern: str) -> bool:
    """Whether a pattern is that of a parameter, or of a layer that holds it."""
    parts = name.split(".")
    heads = (".".join(parts[: end + 1]) for end in range(len(parts)))
    return any(fnmatch.fnmatchcase(head, pattern) for head in heads)


def _digest(module: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        if isinstance(value, torch.Tensor):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            flat = value.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]


def _scalar(value: Any) -> torch.Tensor:
    """The loss of one row."""
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise InputError(
            f"--model: the loss of one row is {shape}, expected one number",
            hint="return the mean over the rows of the batch, or a number for each row",
        )
    return value.reshape(())


def _as_tensor(values: NDArray[Any]) -> torch.Tensor:
    """Floats as float32, the type of most weights; other integers as int64, that of indices."""
    if values.dtype.kind == "f":
        return torch.from_numpy(np.array(values, np.float32))
    if values.dtype.kind in "iu":
        return torch.from_numpy(values.astype(np.int64))
    return torch.from_numpy(np.array(values))


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
