"""Reaching a Ray cluster, or saying in one line why not."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import logging
import os
import socket
import warnings
from typing import Any

from coresift.core.errors import MissingExtraError, ParameterError, ResourceError

_PATIENCE_S = 5.0


def connect(address: str | None) -> Any:
    """Join a cluster as a driver and return the module ``ray``.

    Parameters
    ----------
    address : str or None
        ``HOST:PORT`` of the head, ``auto`` (also None) for the cluster that this machine is part
        of, or ``local`` for one on this machine alone, which ends with the run.

    Raises
    ------
    MissingExtraError
        When Ray is not installed.
    ParameterError
        When it is no address of a cluster.
    ResourceError
        When nobody answers there.
    """
    if importlib.util.find_spec("ray") is None:
        raise MissingExtraError("ray", "ray", "--engine ray")
    address = address or os.environ.get("RAY_ADDRESS") or "auto"
    if address.startswith("ray://"):
        raise ParameterError(
            f"--ray-address {address}: Ray Client is not supported",
            hint="run coresift on a machine of the cluster, as with `ray job submit`, and give "
            "HOST:PORT or auto",
        )
    if address not in ("auto", "local"):
        _require_listener(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray

        if not ray.is_initialized():
            try:
                ray.init(
                    address=address,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    include_dashboard=None if address != "local" else False,
                )
            except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
                reason = str(error).strip().splitlines()[0]
                raise ResourceError(
                    f"--ray-address {address}: no Ray cluster can be reached: {reason}",
                    hint="start one with `ray start --head`, or give --ray-address HOST:PORT",
                ) from error
            _silence()
            # Ray's own farewell, which this comes before, waits half a second for logs of workers
            atexit.register(ray.shutdown)
    return ray


def _silence() -> None:
    """Keep Ray from printing on stdout, which is for the result, what it tells us by exceptions."""
    with contextlib.suppress(ImportError, AttributeError):
        from ray._private import worker

        worker.print_worker_logs = lambda *_, **__: None


def _require_listener(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ParameterError(
            f"--ray-address {address!r} is not HOST:PORT, auto or local",
            hint="the head prints its address when `ray start --head` has started it",
        )
    try:
        socket.create_connection((host, int(port)), _PATIENCE_S).close()
    except OSError as error:
        raise ResourceError(
            f"--ray-address {address}: nobody answers ({error.strerror or error})",
            hint="is the cluster running? `ray status` on its head tells",
        ) from error
