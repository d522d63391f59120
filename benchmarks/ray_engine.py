"""coresift cluster --engine ray, on one and on two machines of one processor, beside two threads.

The machines are simulated: nodes of a Ray cluster on this one, with one processor each. Each node's
processes are held to a processor of its own, and the command to that of the head, where it would
run; else one node alone would use the other's.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

from benchmarks import data
from benchmarks.harness import compare, coresift, options, ratios, spread, table

# Ray takes 127.0.0.1 for the machine's own address
HOST = "127.0.0.2"
NODE: dict[str, Any] = {
    "num_cpus": 1,
    "node_ip_address": HOST,
    "object_store_memory": 500_000_000,
}


def cluster_of(nodes: int) -> Any:
    """Start a Ray cluster of machines with one processor each."""
    from ray.cluster_utils import Cluster

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        every = sorted(os.sched_getaffinity(0))
        head = {**NODE, "include_dashboard": False}
        # what a process starts inherits its processors
        os.sched_setaffinity(0, {every[0]})
        made: Any = Cluster(initialize_head=True, head_node_args=head)
        for index in range(1, nodes):
            os.sched_setaffinity(0, {every[index % len(every)]})
            made.add_node(**NODE)
        os.sched_setaffinity(0, every)
    return made


def traffic(quick: bool) -> None:
    """Bytes that workers send to the driver in an iteration, for some numbers of rows."""
    import pickle

    import ray

    import coresift
    from coresift.distributed.engine import RayEngine

    heard = RayEngine.heard
    seen = [0, 0]

    def counted(self: RayEngine, stream: Any) -> Any:
        outcome = heard(self, stream)
        # an outcome of a pass of Lloyd's algorithm has sums
        if hasattr(getattr(outcome, "value", None), "sums"):
            seen[0] += len(pickle.dumps(outcome))
        elif outcome is not None:
            seen[1] += len(pickle.dumps(outcome))
        return outcome

    RayEngine.heard = counted  # type: ignore[method-assign]
    made = cluster_of(2)
    rows = []
    k, dim, iterations = (50, 64, 4) if quick else (1000, 128, 10)
    for count in (5_000, 10_000) if quick else (250_000, 500_000, 1_000_000):
        dump = data.mixture(count, dim, f"mixture-{count}-{dim}")
        seen[:] = 0, 0
        with tempfile.TemporaryDirectory() as folder:
            coresift.cluster(
                *(dump,),
                k=k,
                iterations=iterations,
                tol=0.0,
                output=f"{folder}/clusters",
                engine="ray",
                ray_address=made.address,
                cpus_per_worker=1,
            )
        sums = 8 * k * dim
        rows.append(
            [
                f"{count:,}",
                f"{seen[0] / (iterations + 1) / 1e6:.2f} MB",
                f"{seen[0] / (iterations + 1) / sums:.2f}",
                f"{seen[1] / 1e6:.1f} MB",
            ]
        )
    ray.shutdown()
    made.shutdown()
    head = ["rows", "an iteration, mean", "in sums of k x d float64", "all else in the run"]
    table("Traffic to the driver of the Ray engine", head, rows, keep=not quick)


def main() -> None:
    parser = options(__doc__, 3)
    parser.add_argument("--traffic", action="store_true", help="count bytes instead of seconds")
    asked = parser.parse_args()
    if asked.traffic:
        traffic(asked.quick)
        return
    dump = data.little() if asked.quick else data.mixture(1_000_000, 128, "mixture-1000000-128")
    k = 50 if asked.quick else 1000
    work = Path(tempfile.mkdtemp(prefix="bench-"))
    target = work / "clusters"

    def command(*more: object) -> list[str]:
        shutil.rmtree(target, ignore_errors=True)
        settings = ("-k", k, "--iterations", 10, "--tol", 0, "-o", target)
        return coresift("cluster", dump, *settings, *more)

    clusters = {nodes: cluster_of(nodes) for nodes in (1, 2)}
    on_head = ("taskset", "-c", str(min(os.sched_getaffinity(0))))
    sides = {"threads": lambda: command("--threads", 2)}
    for nodes, made in clusters.items():
        more = ("--engine", "ray", "--ray-address", made.address, "--cpus-per-worker", 1)
        sides[f"ray {nodes}"] = lambda more=more: [*on_head, *command(*more)]  # type: ignore[misc]
    found = compare(sides, 1 if asked.quick else asked.repeats)
    for made in clusters.values():
        made.shutdown()
    seconds = {name: [run.seconds for run in runs] for name, runs in found.items()}
    costs = {run.facts["cost"] for runs in found.values() for run in runs}
    assert len(costs) == 1, costs
    rows = [[name, spread(values)] for name, values in seconds.items()]
    rows[1].append(ratios(seconds["ray 1"], seconds["ray 2"]) + " of two nodes'")
    rows[2].append(ratios(seconds["ray 2"], seconds["threads"]) + " of two threads'")
    rows[0].append("")
    shutil.rmtree(work)
    table("Ray engine", ["engine", "s", "time ratio"], rows, keep=not asked.quick)


if __name__ == "__main__":
    main()
