"""coresift gradients with a PyTorch network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.test_gradients import NETWORK, Command, chosen, here, run, vectors, written
from tests.data import digits

torch = pytest.importorskip("torch")

__all__ = ["here"]


def test_a_network(here: Command, tmp_path: Path) -> None:
    (tmp_path / "network.py").write_text(NETWORK)
    command = ("emb", "--model", "network.py:load")
    facts = run(here, *command, "-o", "grads")
    assert (facts["method"], facts["layers"]) == ("torch", ["2.weight", "2.bias"])
    found = vectors(written(tmp_path / "grads"))
    assert found.shape == (1797, 170)
    # of the last layer: (p - y) times what it was given
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(64, 16), torch.nn.ReLU(), torch.nn.Linear(16, 10))
    x, y = digits()
    hidden = net[1](net[0](torch.from_numpy(x)))
    residual = (net[2](hidden).softmax(1) - torch.eye(10)[torch.from_numpy(y)]).detach().numpy()
    expected = np.einsum("ik,id->ikd", residual, hidden.detach().numpy()).reshape(1797, -1)
    np.testing.assert_allclose(found[:, :160], expected, atol=1e-5)
    run(here, *command, "--layers", "*", "--proj-dim", 64, "-o", "all", "--threads", 1)
    run(here, *command, "--layers", "*", "--proj-dim", 64, "-o", "again", "--threads", 3)
    assert (tmp_path / "all/part-00000.parquet").read_bytes() == (
        tmp_path / "again/part-00000.parquet"
    ).read_bytes()
    chosen(here, "--gradient", "all", "--target", "again", "--hessian", "fisher")
    # what the model cannot take is refused before any work
    done = here("gradients", *command, "--inputs", "label", "-o", "x")
    assert "the loss raised KeyError: 'embedding'" in done.err
    assert done.code == 1
