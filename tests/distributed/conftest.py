"""A Ray cluster of two machines, on the loopback range."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from coresift.distributed.engine import RayEngine

# Ray takes 127.0.0.1 for the machine's own address
HOST = "127.0.0.2"
NODE: dict[str, Any] = {"num_cpus": 4, "node_ip_address": HOST, "object_store_memory": 200_000_000}


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray
        from ray.cluster_utils import Cluster

        made: Any = Cluster(
            initialize_head=True, head_node_args={**NODE, "include_dashboard": False}
        )
        made.add_node(**NODE)
        yield made
        ray.shutdown()
        made.shutdown()


@pytest.fixture(scope="session")
def engine(cluster: Any) -> Iterator[RayEngine]:
    found = RayEngine(cluster.address, threads=2, cpus_per_worker=1)
    yield found
    found.close()
