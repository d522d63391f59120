"""Options of ``kernel-thinning``."""

from __future__ import annotations

from dataclasses import dataclass

from coresift.core.errors import ParameterError
from coresift.selection.option import option
from coresift.selection.params.kernels import KernelParams

# kernels with a power kernel of a simple form
POWERED = ("gaussian", "matern-1.5", "matern-2.5", "sinc")


@dataclass(frozen=True)
class KernelThinningParams(KernelParams):
    """Options of ``kernel-thinning``."""

    variant: str = option(
        "Kernel that rows are split by: the target kernel itself, its power kernel, or the sum "
        "of the two (KT+). gaussian, matern-1.5, matern-2.5 and sinc have a power kernel.",
        default="target",
        choices=("target", "power", "plus"),
    )
    compress: str | float = option(
        "Oversampling g of Compress++, which thins part by part down to 2^g times the size "
        "before all is looked at together: more is better and slower. auto takes 2,048 rows or 4 "
        "times the size; off looks at all rows of a pool together, in quadratic time.",
        kind="number",
        default="auto",
        minimum=0,
        maximum=30,
        metavar="auto|off|G",
        words=("auto", "off"),
    )
    no_swap: bool = option(
        "Leave out the exchange of rows for better ones (KT-SWAP), whose result is closer to all "
        "rows: without it every row is equally likely to be chosen.",
        kind="flag",
        default=False,
    )

    def check(self) -> None:
        """Refuse an oversampling that is not whole, and a power kernel that there is none of."""
        super().check()
        if self.variant != "target" and self.kernel not in POWERED:
            raise ParameterError(
                f"--variant {self.variant}: the kernel {self.kernel} has no power kernel of a "
                "simple form",
                hint="take --variant target, or another --kernel",
            )
        if isinstance(self.compress, float) and self.compress != int(self.compress):
            raise ParameterError(f"--compress {self.compress:g} is not a whole number")
