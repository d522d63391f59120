"""The verb ``doctor``: what will be used on this machine, and what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from coresift._version import __version__
from coresift.clustering.kernels import choose_kernel, gpu_count
from coresift.core.memory import Budget, available
from coresift.engine.local import available_threads

_EXTRAS = {
    "fast": ("superkmeans", "--kernel superkmeans"),
    "gpu": ("faiss", "--device cuda, --kernel faiss"),
    "ray": ("ray", "--engine ray"),
    "report": ("plotly", "report -o X.html and X.png"),
    "map": ("umap", "report --umap"),
    "remote": ("fsspec", "hf:// and other URIs that Arrow does not read itself"),
    "torch": ("torch", "coresift gradients of a PyTorch model"),
}
_PACKAGES = ("numpy", "scipy", "scikit-learn", "pyarrow", "click", "rich")


@dataclass(frozen=True)
class Diagnosis:
    """What ``doctor`` found.

    Attributes
    ----------
    version, python : str
        Of coresift and of Python.
    packages : dict of str to str
        Versions of the packages that are always used.
    blas : list of dict
        ``library``, ``version`` and ``architecture`` of each BLAS that is loaded.
    processor : str
        Name of the processor.
    threads : int
        Threads that a run uses by default.
    memory : dict of str to int
        ``available`` bytes, and the ``budget`` that a run takes by default.
    scratch : dict
        Default ``folder`` of scratch files, and ``free`` bytes there.
    gpus : int
        GPUs that faiss can use.
    kernel : str
        What ``--kernel auto --device auto`` uses here.
    extras : dict of str to dict
        For each extra: ``package``, its ``version`` or None, and what it ``enables``.
    """

    version: str
    python: str
    packages: dict[str, str]
    blas: list[dict[str, str]]
    processor: str
    threads: int
    memory: dict[str, int]
    scratch: dict[str, Any]
    gpus: int
    kernel: str
    extras: dict[str, dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON holds them."""
        return asdict(self)


def doctor() -> Diagnosis:
    """Look at this machine.

    Returns
    -------
    Diagnosis
    """
    folder = tempfile.gettempdir()
    return Diagnosis(
        version=__version__,
        python=platform.python_version(),
        packages={name: importlib.metadata.version(name) for name in _PACKAGES},
        blas=_blas(),
        processor=_processor(),
        threads=available_threads(),
        memory={"available": available(), "budget": Budget.default().total},
        scratch={"folder": folder, "free": shutil.disk_usage(folder).free},
        gpus=gpu_count(),
        kernel=choose_kernel("auto", "auto").kernel,
        extras={
            extra: {"package": module, "version": _installed(module), "enables": purpose}
            for extra, (module, purpose) in _EXTRAS.items()
        },
    )


def _installed(module: str) -> str | None:
    if importlib.util.find_spec(module) is None:
        return None
    names = importlib.metadata.packages_distributions().get(module, [module])
    return f"{names[0]} {importlib.metadata.version(names[0])}"


def _blas() -> list[dict[str, str]]:
    import numpy as np
    from threadpoolctl import threadpool_info

    np.dot(np.ones((2, 2)), np.ones((2, 2)))
    return [
        {
            "library": str(info.get("internal_api")),
            "version": str(info.get("version")),
            "architecture": str(info.get("architecture")),
        }
        for info in threadpool_info()
        if info.get("user_api") == "blas"
    ]


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return f"{platform.machine()}, {os.cpu_count()} processors"
