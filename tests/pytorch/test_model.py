"""Gradients of a PyTorch module: against backward(), one row after the other."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from coresift.core.errors import InputError, ParameterError, ResourceError
from tests.data import digits

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from coresift.influence.models.pytorch import TorchModel  # noqa: E402


def network() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(144, 16),
        nn.Tanh(),
        nn.Linear(16, 10),
    )


def loss(model: Any, batch: dict[str, Any]) -> Any:
    return functional.cross_entropy(model(batch["x"]), batch["y"])


def branching(model: Any, batch: dict[str, Any]) -> Any:
    """What vmap cannot do: go by a value."""
    return loss(model, batch) * (2.0 if batch["y"].item() > 4 else 1.0)


def rows(count: int = 20) -> dict[str, Any]:
    vectors, labels = digits()
    return {"x": vectors[:count], "y": labels[:count], "text": ["a"] * count}


def one_by_one(
    net: Any, names: list[str], batch: dict[str, Any], of: Callable[[Any, Any], Any] = loss
) -> NDArray[np.float32]:
    """The plain way."""
    net.eval()
    found = []
    for row in range(len(batch["y"])):
        net.zero_grad()
        x = torch.from_numpy(batch["x"][row : row + 1])
        of(net, {"x": x, "y": torch.from_numpy(batch["y"][row : row + 1])}).backward()
        known = dict(net.named_parameters())
        found.append(torch.cat([known[name].grad.reshape(-1) for name in names]).numpy())
    return np.stack(found)


def together(model: TorchModel, batch: dict[str, Any]) -> NDArray[np.float32]:
    found = np.concatenate(model.gradients(batch), axis=1)
    assert found.dtype == np.float32
    assert found.shape == (len(batch["y"]), model.parameters)
    return found


LAST = ["8.weight", "8.bias"]
ALL = ["1.weight", "1.bias", "2.weight", "2.bias", "6.weight", "6.bias", *LAST]


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        (None, LAST),
        ("6", ["6.weight", "6.bias"]),
        ("8.bias, 1", ["1.weight", "1.bias", "8.bias"]),
        ("*", ALL),
    ],
)
@pytest.mark.parametrize("of", [loss, branching])
def test_gradients_are_those_of_backward(
    layers: str | None, names: list[str], of: Callable[[Any, Any], Any]
) -> None:
    net, batch = network(), rows()
    expected = one_by_one(net, names, batch, of)
    net.train()
    model = TorchModel(net, of, layers=layers)
    model.probe({name: values[:2] for name, values in batch.items()})
    assert model.layers == tuple(names)
    assert bool(model.notes) == (of is branching)
    np.testing.assert_allclose(together(model, batch), expected, atol=1e-6)
    assert net.training, "the user's module is left as it was"
    assert all(parameter.requires_grad for parameter in net.parameters())
    model.close()


def test_threads_do_not_disturb_one_another() -> None:
    batch = rows(64)
    model = TorchModel(network(), loss, layers="*")
    expected = together(model, batch)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: together(model, batch), range(8)):
            np.testing.assert_array_equal(found, expected)
    model.close()


def test_an_adapter_on_a_frozen_base() -> None:
    net = network()
    net[6].requires_grad_(False)
    assert TorchModel(net, loss, layers="6,8").layers == tuple(LAST)
    # what is asked for by name and all frozen is what is wanted
    assert TorchModel(net, loss, layers="6").layers == ("6.weight", "6.bias")


def test_inputs_of_the_users_own() -> None:
    net = network()
    expected = one_by_one(net, LAST, rows())

    def inputs(columns: dict[str, Any]) -> dict[str, Any]:
        assert columns["text"] == ["a"] * len(columns["text"])
        return {"x": torch.tensor(columns["x"] * 1.0), "y": torch.tensor(columns["y"])}

    model = TorchModel(net, loss, inputs)
    np.testing.assert_allclose(together(model, rows()), expected, atol=1e-6)


def test_the_digest_is_of_all_that_was_learned() -> None:
    net = network()
    digest = TorchModel(net, loss).digest
    assert TorchModel(net, loss, layers="*").digest == digest
    with torch.no_grad():
        net[1].bias[0] += 1.0
    assert TorchModel(net, loss).digest != digest


def refused(found: Callable[[], TorchModel], batch: dict[str, Any] | None = None) -> str:
    with pytest.raises((InputError, ParameterError, ResourceError)) as caught:
        found().probe(batch or rows(2))
    assert "\n" not in caught.value.message
    return caught.value.message


def test_what_is_refused() -> None:
    net = network()
    assert "'nine' matches no layer" in refused(lambda: TorchModel(net, loss, layers="nine"))
    assert "no linear layer" in refused(lambda: TorchModel(nn.Sequential(nn.Conv2d(1, 1, 1)), loss))
    every = TorchModel(net, lambda m, b: m(b["x"]))
    assert "the loss of one row is (1, 10), expected one number" in refused(lambda: every)
    assert "the loss raised KeyError: 'x'" in refused(
        lambda: TorchModel(net, loss), {"y": np.arange(2)}
    )
    short = TorchModel(net, loss, lambda columns: {"x": torch.zeros(1, 64)})
    assert "the input 'x' is a Tensor of shape (1, 64), expected a tensor of 2 rows" in refused(
        lambda: short
    )
    other = TorchModel(net, loss, lambda columns: [1])  # type: ignore[arg-type,return-value]
    assert "its inputs gave a list, expected a dict of tensors" in refused(lambda: other)
    assert "no column that holds numbers" in refused(
        lambda: TorchModel(net, loss), {"text": ["a", "b"]}
    )
    if not torch.cuda.is_available():
        assert "torch finds no GPU" in refused(lambda: TorchModel(net, loss, device="cuda"))
