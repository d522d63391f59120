"""Options of a probe, whose gradients influence may be made from."""

from __future__ import annotations

from dataclasses import dataclass

from coresift.core.errors import ParameterError
from coresift.selection.option import Params, option


@dataclass(frozen=True)
class ProbeParams(Params):
    """A probe on the embeddings."""

    label: str | None = option(
        "Instead of --gradient: the column of classes, here and in --target. A multinomial "
        "logistic probe is fitted to the embeddings, and influence is that of the probe.",
        metavar="COLUMN",
    )
    l2: float | None = option(
        "With --label: the penalty of the probe, on features scaled to a mean variance of 1. "
        "Default: 0.01.",
        kind="number",
        metavar="VALUE",
    )
    kernel: bool = option(
        "With --label: the pseudo-NTK, the kernel of the gradient of the sum of the logits, which "
        "is cheaper than a Hessian: one matrix of the features serves all classes.",
        kind="flag",
        default=False,
    )

    def check_probe(self, hessian: str, others: dict[str, bool]) -> None:
        """Refuse what is about a probe without one, and what is about gradients with one.

        Parameters
        ----------
        hessian : str
            ``--hessian``.
        others : dict of str to bool
            Options that gradients are described by, and whether they are given.
        """
        if self.label is None:
            for flag, given in (
                ("--l2", self.l2 is not None),
                ("--kernel", self.kernel),
                ("--hessian exact", hessian == "exact"),
            ):
                if given:
                    raise ParameterError(
                        f"{flag} is about a probe, and there is none", hint="add --label COLUMN"
                    )
            return
        for flag, given in others.items():
            if given:
                raise ParameterError(
                    f"--label fits a probe, which has gradients of its own, and {flag} is about "
                    "others",
                    hint=f"leave {flag} out, or --label",
                )
        if self.l2 is not None and not self.l2 > 0.0:
            raise ParameterError(f"--l2 {self.l2:g} is not more than 0")
