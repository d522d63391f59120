"""Options of methods that go by the influence of rows on a target."""

from __future__ import annotations

import math
from dataclasses import dataclass

from coresift.core.errors import ParameterError
from coresift.selection.option import option
from coresift.selection.params.probe import ProbeParams

SELF = "self"
LOSS = "loss"
LEFT_OUT = "left-out"
# targets that are no dump
WORDS = (SELF, LOSS, LEFT_OUT)


@dataclass(frozen=True)
class GradientParams(ProbeParams):
    """Where influence comes from: gradients, a target and a curvature."""

    target: tuple[str, ...] | None = option(
        "Rows whose loss is to go down: a dump with the same column of gradients, of a "
        "validation set for example, or a STORE like that of --gradient. Given several times, "
        "each is a task, which counts by the mean of its rows. With --label, three words need no "
        "other dump, and --sign harm then finds rows that are likely mislabelled: self is all "
        "other rows, and the score minus the row's self-influence; loss is the row itself, and "
        "the score minus its loss; left-out the same, had the probe not seen the row. Beside "
        "loss or left-out, the loss is that had the probe seen the rows of each --target PATH "
        "too.",
        kind="paths",
        metavar="PATH|self|loss|left-out",
        words=WORDS,
    )
    gradient: tuple[str, ...] | None = option(
        "The vector column, here and in --target, that holds the gradient (or a projection of "
        "it) of the loss of each row. Or a store of them, a row for each row: what `coresift "
        "gradients` wrote, a folder of bergson, TRAK or LESS, a tensor in .pt, a 2-D .npy; "
        "--target is then a store too. Given several times, each is a checkpoint, and their "
        "influences are added up; each --target then names a store for each, separated by commas.",
        kind="sources",
        metavar="COLUMN|STORE",
    )
    learning_rate: tuple[str, ...] | None = option(
        "The learning rate at each --gradient, in their order: what its influence is multiplied "
        "by. Default: 1.",
        kind="texts",
        metavar="RATE",
    )
    similarity: str = option(
        "dot: the product of a row's gradient with the target's, times the inverse Hessian. "
        "cosine: both scaled to norm 1 first, so that short rows with large gradients do not win.",
        default="dot",
        choices=("dot", "cosine"),
    )
    aggregate: str | None = option(
        "What is made of the influence on several target rows (or tasks): the mean, or the "
        "largest. Default: mean; of tasks, max.",
        choices=("mean", "max"),
    )
    hessian: str | None = option(
        "What stands for the Hessian: nothing (identity); the mean square of the rows' gradients, "
        "element by element (diagonal); the empirical Fisher, the mean of their outer products; "
        "or the Kronecker factors of a linear layer (kfac). Of a probe it can be exact; diagonal "
        "and kfac are then made from that. Default: identity; with --label, exact.",
        choices=("identity", "diagonal", "fisher", "kfac", "exact"),
    )
    damping: float | str = option(
        "Added to each eigenvalue of the Hessian; auto is a tenth of their mean, and of a probe "
        "its penalty.",
        kind="number",
        default="auto",
        minimum=0.0,
        metavar="VALUE|auto",
        words=("auto",),
    )
    hessian_rows: float | None = option(
        "Estimate the Hessian from so many rows, drawn by the seed. Default: from all.",
        kind="number",
        minimum=1.0,
        metavar="N",
    )
    layer: str | None = option(
        "For kfac: outputs and inputs of the layer, such as 10x784. The gradients are those of "
        "its weights, output after output; with --layer-inputs and --layer-outputs none are "
        "needed.",
        metavar="OUTxIN",
    )
    layer_inputs: str | None = option(
        "The vector column that holds each row's input to the layer.", metavar="COLUMN"
    )
    layer_outputs: str | None = option(
        "The vector column that holds the gradient of the loss by the layer's output.",
        metavar="COLUMN",
    )

    @property
    def curved(self) -> str:
        """The Hessian: ``--hessian``, or what stands for it where it was left open."""
        if self.kernel:
            return "kernel"
        return self.hessian or ("identity" if self.label is None else "exact")

    @property
    def rates(self) -> tuple[float, ...]:
        """Learning rate of each checkpoint."""
        if self.learning_rate is None:
            return (1.0,) * len(self.gradient or (None,))
        return tuple(float(rate) for rate in self.learning_rate)

    @property
    def shape(self) -> tuple[int, int] | None:
        """OUT and IN of the layer."""
        if self.layer is None:
            return None
        out, _, into = self.layer.lower().partition("x")
        return int(out), int(into)

    @property
    def added(self) -> float | None:
        """The damping; None for auto."""
        return None if isinstance(self.damping, str) else self.damping

    @property
    def how(self) -> str:
        """How targets are taken together."""
        several = len(self.target or ()) > 1 and not self.own_loss
        return self.aggregate or ("max" if several else "mean")

    @property
    def own_loss(self) -> bool:
        """Whether the target is the row itself, others beside it or not."""
        return any(word in (self.target or ()) for word in (LOSS, LEFT_OUT))

    @property
    def only_loss(self) -> bool:
        """Whether the target is the loss that each row has, for which no Hessian is needed."""
        return self.target == (LOSS,)

    @property
    def left_out(self) -> bool:
        """Whether that is as if the row had not been trained on."""
        return LEFT_OUT in (self.target or ())

    def check(self) -> None:
        """Refuse a missing half, and options that do not go together."""
        super().check()
        factors = self.layer_inputs is not None or self.layer_outputs is not None
        if self.kernel and self.hessian is not None:
            raise ParameterError(
                f"--kernel stands in place of --hessian {self.hessian}", hint="give one of them"
            )
        self.check_probe(
            self.curved,
            {
                "--gradient": self.gradient is not None,
                "--learning-rate": self.learning_rate is not None,
                "--layer": self.layer is not None,
                "--layer-inputs": factors,
                "--hessian-rows": self.hessian_rows is not None,
            },
        )
        if factors and (self.layer_inputs is None or self.layer_outputs is None):
            raise ParameterError(
                "--layer-inputs and --layer-outputs go together", hint="give both or neither"
            )
        self._check_source(factors=factors)
        gradients = self.gradient or ()
        twice = next((name for name in gradients if gradients.count(name) > 1), None)
        if twice is not None:
            raise ParameterError(
                f"--gradient {twice} is given twice",
                hint="each is a checkpoint with gradients of its own; to weigh one more, give a "
                "larger --learning-rate",
            )
        self._check_rates()
        if (self.layer is not None or factors) and self.curved != "kfac":
            raise ParameterError(
                "--layer describes a layer for --hessian kfac", hint="add --hessian kfac"
            )
        if self.layer is not None:
            sides = self.layer.lower().split("x")
            if len(sides) != 2 or not all(side.isdecimal() and int(side) for side in sides):
                raise ParameterError(
                    f"--layer {self.layer!r} is not of the form OUTxIN", hint="for example 10x784"
                )
        if self.curved == "kfac" and self.layer is None and not factors and self.label is None:
            raise ParameterError(
                "--hessian kfac needs the shape of a layer",
                hint="give --layer OUTxIN, or --layer-inputs and --layer-outputs",
            )
        if self.curved == "identity" and self.damping != "auto":
            raise ParameterError(
                "--damping is added to a Hessian, and --hessian identity is none",
                hint="leave it out, or choose another --hessian",
            )
        if self.hessian_rows is not None and self.hessian_rows != int(self.hessian_rows):
            raise ParameterError(f"--hessian-rows {self.hessian_rows:g} is not a whole number")

    def _check_source(self, *, factors: bool) -> None:
        if self.gradient is None and not factors and self.label is None:
            raise ParameterError(
                "influence needs gradients",
                hint="give --gradient COLUMN, a vector column, or a store; or --label COLUMN",
            )
        if self.gradient is not None and factors:
            raise ParameterError(
                "--gradient and --layer-inputs are two sources of the gradients",
                hint="give one of them",
            )
        if self.target is None:
            raise ParameterError(
                "influence needs a target", hint="give --target PATH, a dump with gradients"
            )
        twice = next((path for path in self.target if self.target.count(path) > 1), None)
        if twice is not None:
            raise ParameterError(
                f"--target {twice} is given twice", hint="each is a task: give it once"
            )
        for word in WORDS:
            if word in self.target:
                self._check_word(word, self.target)

    def _check_word(self, word: str, target: tuple[str, ...]) -> None:
        if self.label is None:
            raise ParameterError(
                f"--target {word} is about a probe, and there is none", hint="add --label COLUMN"
            )
        others = [path for path in target if path != word]
        other = next((path for path in others if path in WORDS), None)
        if other is not None or (word == SELF and others):
            raise ParameterError(
                f"--target {word} does not go with --target {other or others[0]}",
                hint="give one of them",
            )
        hessian = self.kernel or self.hessian is not None or self.damping != "auto"
        if self.only_loss and hessian:
            raise ParameterError(
                "--target loss alone needs no Hessian",
                hint="leave --hessian, --damping and --kernel out, or add --target PATH",
            )
        if self.how != "mean" or self.similarity != "dot":
            raise ParameterError(
                f"--target {word} gives each row one score",
                hint="leave --aggregate and --similarity out",
            )

    def _check_rates(self) -> None:
        if self.learning_rate is None:
            return
        for text in self.learning_rate:
            try:
                rate = float(text)
            except ValueError:
                rate = math.nan
            if not math.isfinite(rate):
                raise ParameterError(f"--learning-rate {text!r} is not a number")
        found, wanted = len(self.learning_rate), len(self.gradient or ())
        if found != wanted:
            raise ParameterError(
                f"--learning-rate is given {found} times and --gradient {wanted}",
                hint="give one for each, in the same order",
            )
