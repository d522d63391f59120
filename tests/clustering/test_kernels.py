"""The other kernels lead to the same labels; what is missing is said."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

from coresift.clustering import kernels
from coresift.clustering.kernels import Blas, Faiss, choose_kernel
from coresift.clustering.kmeans import KMeansParams
from coresift.clustering.projection import Projection
from coresift.core.errors import MissingExtraError, ParameterError, ResourceError
from tests.clustering.rows import Rows, brute_force, train
from tests.data import digits


def test_faiss_labels_are_certified() -> None:
    rows, _ = digits()
    for centroids in (rows[:300].copy(), np.repeat(rows[:50], 2, axis=0)):
        labels = Faiss(0).search(centroids)(0, rows, None)
        assert labels.tolist() == brute_force(rows, centroids)[0].tolist()


def test_faiss_trains_to_the_same_centroids_as_blas() -> None:
    rows = Rows(digits()[0])
    faiss, blas = (train(rows, KMeansParams(k=40, kernel=name)) for name in ("faiss", "blas"))
    assert faiss.kernel == "faiss"
    assert faiss.centroids.tobytes() == blas.centroids.tobytes()


def test_superkmeans_trains_and_leaves_the_last_step_to_blas() -> None:
    rows = Rows(digits()[0])
    model = train(rows, KMeansParams(k=40, kernel="superkmeans"))
    blas = train(rows, KMeansParams(k=40, kernel="blas"))
    assert model.kernel == "superkmeans"
    assert model.labels is None
    assert abs(model.costs[-1] / blas.costs[-1] - 1.0) < 0.01


def test_auto_is_blas_without_a_gpu() -> None:
    assert choose_kernel("auto", "cpu").kernel == "blas"


def test_cuda_without_a_gpu_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "gpu_count", lambda: 0)
    with pytest.raises(ResourceError) as caught:
        choose_kernel("auto", "cuda")
    assert caught.value.message == "--device cuda: faiss finds no GPU it can use"


def test_auto_takes_all_gpus_that_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "gpu_count", lambda: 3)
    assert choose_kernel("auto", "auto") == kernels.Choice("faiss", 3)
    assert choose_kernel("auto", "cpu") == kernels.Choice("blas", 0)


@pytest.mark.parametrize("kernel", ["blas", "superkmeans"])
def test_a_cpu_kernel_on_cuda_is_a_contradiction(kernel: str) -> None:
    with pytest.raises(ParameterError) as caught:
        choose_kernel(kernel, "cuda")
    expected = f"--kernel {kernel} runs on the CPU and --device cuda asks for a GPU"
    assert caught.value.message == expected


@pytest.mark.parametrize(
    ("kernel", "package", "extra"),
    [("superkmeans", "superkmeans", "fast"), ("faiss", "faiss-gpu", "gpu")],
)
def test_a_missing_package_names_its_extra(
    kernel: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_nothing(name: str, *rest: Any) -> None:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", find_nothing)
    with pytest.raises(MissingExtraError) as caught:
        choose_kernel(kernel, "auto")
    assert package in caught.value.message
    assert caught.value.hint == f"pip install 'coresift[{extra}]'"


class _FakeGpu:
    """Stands in for faiss on GPUs: the same calls, with the search left on the CPU."""

    def __init__(self, faiss: Any) -> None:
        self._faiss = faiss
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._faiss, name)

    def StandardGpuResources(self) -> object:  # noqa: N802
        return object()

    def GpuMultipleClonerOptions(self) -> Any:  # noqa: N802
        class Options:
            shard = True

        return Options()

    def index_cpu_to_gpu(self, resources: object, device: int, index: Any) -> Any:
        self.calls.append(f"one on {device}")
        return index

    def index_cpu_to_gpu_multiple_py(
        self, resources: list[object], index: Any, options: Any
    ) -> Any:
        self.calls.append(f"{len(resources)}, shard={options.shard}")
        return index


@pytest.mark.parametrize(("gpus", "call"), [(1, "one on 0"), (2, "2, shard=False")])
def test_the_gpu_path_replicates_the_centroids(
    gpus: int, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import faiss

    fake = _FakeGpu(faiss)
    monkeypatch.setattr(kernels, "_import_faiss", lambda: fake)
    rows, _ = digits()
    labels = Faiss(gpus).search(rows[:100].copy())(0, rows, None)
    assert fake.calls == [call]
    assert labels.tolist() == brute_force(rows, rows[:100])[0].tolist()


@pytest.mark.parametrize(("decay", "tail"), [(2.0, True), (1.0, False)])
@pytest.mark.parametrize("kept", [True, False])
def test_a_projection_changes_no_centroid(
    decay: float, tail: bool, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training by a head, with a tail or without, from kept or fresh projected rows."""
    random = np.random.default_rng(5)
    spectrum = (1.0 + np.arange(320) / 8.0) ** (-decay / 2.0)
    near = random.normal(size=(60, 320))[random.integers(0, 60, 1500)]
    rows = ((near + 0.5 * random.normal(size=(1500, 320))) * spectrum).astype(np.float32)
    suited = Projection.fit(rows).suited(300)
    assert suited.basis is not None
    assert (suited.tail > 0) == tail
    params = KMeansParams(k=300, iterations=8, tol=0.0)
    if not kept:
        monkeypatch.setattr(Blas, "_project", lambda *_, **__: None)
    model = train(Rows(rows), params, threads=2)
    monkeypatch.setattr(Projection, "suited", lambda self, _: Projection(self.origin))
    plain = train(Rows(rows, 77), params)
    assert model.centroids.tobytes() == plain.centroids.tobytes()
    assert model.costs == plain.costs
    assert model.labels is not None
    labels = model.labels.read(0, len(rows))[:, 0]
    assert labels.tolist() == brute_force(rows, model.centroids)[0].tolist()
