"""Options of methods that compare rows by a kernel."""

from __future__ import annotations

from dataclasses import dataclass

from coresift.core.errors import ParameterError
from coresift.selection.option import option
from coresift.selection.params.pool import PoolParams

KERNELS = ("gaussian", "laplace", "matern-1.5", "matern-2.5", "inverse-multiquadric", "sinc")


@dataclass(frozen=True)
class KernelParams(PoolParams):
    """Which kernel, and how wide it is."""

    kernel: str = option(
        "How similar two rows at distance r are, b the bandwidth: gaussian exp(-r^2 / 2b^2), "
        "laplace exp(-r / b), Matern kernels of order 1.5 and 2.5 and length b, "
        "inverse-multiquadric 1 / sqrt(1 + r^2 / b^2), or sinc, the product over the dimensions "
        "of sin(pi t) / (pi t) with t the difference over b.",
        default="gaussian",
        choices=KERNELS,
    )
    bandwidth: str | float = option(
        "Bandwidth of the kernel: a distance, or the median distance between 1,000 rows drawn "
        "by the seed.",
        kind="number",
        default="median",
        minimum=0.0,
        metavar="median|DISTANCE",
        words=("median",),
    )

    def check(self) -> None:
        """Refuse a kernel without width."""
        super().check()
        if self.bandwidth == 0.0:
            raise ParameterError("--bandwidth 0 is not more than 0")
