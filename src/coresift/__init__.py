"""Clustering and coreset selection for dumps of embeddings.

The verbs of the command line, with the options' names as keywords:

>>> import coresift
>>> coresift.cluster("emb/", k=1000, output="clusters/")  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from coresift._version import __version__
from coresift.core.errors import CoresiftError

if TYPE_CHECKING:
    from coresift.api import bandit
    from coresift.api.cluster import cluster
    from coresift.api.compare import compare
    from coresift.api.doctor import doctor
    from coresift.api.evaluate import evaluate
    from coresift.api.gradients import gradients
    from coresift.api.inspect import inspect
    from coresift.api.plan import plan_cluster, plan_select
    from coresift.api.replay import replay
    from coresift.api.report import report
    from coresift.api.report_comparison import report_comparison
    from coresift.api.select import select
    from coresift.api.weights import weights
    from coresift.cli.recipes import run

__all__ = [
    "CoresiftError",
    "__version__",
    "bandit",
    "cluster",
    "compare",
    "doctor",
    "evaluate",
    "gradients",
    "inspect",
    "plan_cluster",
    "plan_select",
    "replay",
    "report",
    "report_comparison",
    "run",
    "select",
    "weights",
]

_MODULES = {
    **{
        name: f"api.{name}"
        for name in (
            *("cluster", "compare", "doctor", "evaluate", "gradients", "inspect", "replay"),
            *("report", "report_comparison"),
            *("select", "weights"),
        )
    },
    "plan_cluster": "api.plan",
    "plan_select": "api.plan",
    "run": "cli.recipes",
}


def __getattr__(name: str) -> object:
    """Import a verb when it is first used: ``import coresift`` alone loads nothing heavy."""
    if name == "bandit":
        return importlib.import_module("coresift.api.bandit")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"coresift.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
