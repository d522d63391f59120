"""The part of the verb ``evaluate`` that is about classes, and influence by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coresift.api.run import Run
from coresift.core.errors import ParameterError
from coresift.core.memory import Budget
from coresift.evaluation.base import Resources, Values
from coresift.evaluation.influence import SUBSETS, Scored, Validation, validate
from coresift.evaluation.subset import SubsetFile
from coresift.influence.examples import open_examples, read_examples
from coresift.influence.probe import L2, MOST_CLASSES, train, training_bytes
from coresift.influence.probe_scores import Factors
from coresift.io.dump import Dump
from coresift.io.labels import Labels
from coresift.io.vectors import Vectors


@dataclass(frozen=True)
class Asked:
    """What ``--influence`` was asked with.

    Attributes
    ----------
    target : str
        The dump whose loss is looked at.
    label : str
        The column of classes.
    l2 : float or None
        Penalty of the probe; None means that of the subset's selection, or else the default.
    subsets : int or None
        Halves to train on.
    remove : int or None
        Rows to leave out.
    """

    target: str
    label: str
    l2: float | None = None
    subsets: int | None = None
    remove: int | None = None

    @classmethod
    def of(
        cls, *, influence: bool, label: str | None, options: Mapping[str, str | float | None]
    ) -> Asked | None:
        """Check the options; None when there is nothing to do.

        Raises
        ------
        ParameterError
            When some are missing, out of bounds, or about nothing.
        """
        if not influence:
            for name, value in options.items():
                if value is not None:
                    raise ParameterError(
                        f"{name} is about --influence, which is missing", hint="add --influence"
                    )
            return None
        target, l2 = options["--target"], options["--l2"]
        if label is None or target is None:
            missing = "--label COLUMN" if label is None else "--target PATH"
            raise ParameterError(
                f"--influence trains a probe, and {missing} is missing",
                hint="it needs a column of classes, and a dump whose loss is looked at",
            )
        if l2 is not None and not float(l2) > 0.0:
            raise ParameterError(f"--l2 {l2} is not more than 0")
        for name, least in (("--subsets", 3), ("--remove", 1)):
            value = options[name]
            if value is not None and int(value) < least:
                raise ParameterError(f"{name} {value} is not at least {least}")
        subsets, remove = options["--subsets"], options["--remove"]
        return cls(
            str(target),
            label,
            None if l2 is None else float(l2),
            None if subsets is None else int(subsets),
            None if remove is None else int(remove),
        )

    def open(self, dump: Dump) -> Dump:
        """Open the target, to be read as the full data is."""
        return open_examples(self.target, dump, self.label)

    @staticmethod
    def reserve(dump: Dump, budget: Budget) -> int:
        """Bytes that training takes, whatever the number of classes."""
        return training_bytes(dump.rows, dump.embedding.dim, MOST_CLASSES, budget)

    def penalty(self, chosen: SubsetFile) -> float:
        """The probe's l2."""
        if self.l2 is not None:
            return self.l2
        params = {} if chosen.provenance is None else chosen.provenance.params
        found = params.get("l2")
        return float(found) if isinstance(found, int | float) else L2


def trained_again(
    run: Run,
    dump: Dump,
    again: Asked | None,
    chosen: SubsetFile,
    labels: Labels | None,
    vectors: Vectors,
    resources: Resources,
    repeats: int,
    notes: list[str],
) -> tuple[Values, Validation | None]:
    """Metrics of training again without rows, if that was asked for."""
    if again is None or labels is None:
        return {}, None
    with run.clock.stage("influence"):
        return _influence(run, dump, again, chosen, labels, vectors, resources, repeats, notes)


def _influence(
    run: Run,
    dump: Dump,
    again: Asked,
    chosen: SubsetFile,
    labels: Labels,
    vectors: Vectors,
    resources: Resources,
    repeats: int,
    notes: list[str],
) -> tuple[Values, Validation]:
    """Train the probe, and again without rows."""
    target = again.open(dump)
    rows = chosen.read(vectors, dump.source).rows
    scores = chosen.finite_scores()
    training = train(vectors, labels, run.budget, run.seed, again.penalty(chosen), again.label)
    examples = read_examples(target, again.label, training, labels, resources)
    params = {} if chosen.provenance is None else chosen.provenance.params
    values, told = validate(
        training,
        Factors(training.probe, vectors, labels.codes),
        examples,
        Scored(rows, scores, harm=params.get("sign") == "harm"),
        resources,
        repeats=repeats,
        subsets=again.subsets or SUBSETS,
        remove=again.remove,
    )
    notes.extend(training.notes)
    if examples.left_out:
        notes.append(f"{examples.left_out:,} rows of {target.source} were left out")
    if scores is None:
        notes.append(f"{chosen.path} has no scores: influence was computed anew only")
    return values, told
