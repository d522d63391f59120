"""The verb ``report``: pictures of a clustering or a selection."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Unpack

from coresift.api.evaluate import Evaluation, evaluate
from coresift.api.reading import EVALUATION, options_of, require_same_reading, selected_with
from coresift.api.run import CommonOptions, Paths, Run, absolute, as_paths
from coresift.clustering.saved import SavedClustering
from coresift.core.errors import InputError, MismatchError, MissingExtraError, ParameterError
from coresift.core.memory import give_back
from coresift.evaluation.base import Resources
from coresift.evaluation.subset import SubsetFile
from coresift.io.dump import Dump
from coresift.io.labels import check_label
from coresift.io.provenance import Provenance, read_provenance
from coresift.io.stamp import stamp
from coresift.io.target import Target
from coresift.reporting.command import report_line, shell
from coresift.reporting.content import Content
from coresift.reporting.gather import ROW_BYTES, Found, Wanted, gather
from coresift.reporting.html import page
from coresift.reporting.neighbours import require_umap
from coresift.reporting.picture import save_picture
from coresift.reporting.plane import workspace_bytes
from coresift.reporting.text import check_image, check_text
from coresift.selection.reading.columns import Column, find_column

COLOURS = ("selection", "cluster", "weight", "score", "label")
# what each form is made with, beside what coresift always needs
_PACKAGES = {
    ".html": {"jinja2": "jinja2", "plotly": "plotly", "PIL": "pillow"},
    ".png": {"matplotlib": "matplotlib", "PIL": "pillow"},
}
_RUN_BYTES = 64 << 20
# the page while it is written, with the texts, the library and copies of both
_PAGE_BYTES = 160 << 20


@dataclass(frozen=True)
class ReportResult:
    """What a report shows.

    Attributes
    ----------
    rows, rows_selected : int
        Rows, and selected ones among them; 0 for a clustering.
    points : int
        Rows drawn as points.
    clusters : int
        Clusters.
    variance : tuple of float
        Shares of the variance that the two axes of the map show.
    notes : tuple of str
        What was sampled, skipped or replaced.
    seconds : dict of str to float
        By stage, and in ``total``.
    peak_rss_bytes : int
        Largest memory of the process.
    output : str or None
        Where the page or picture is.
    bytes : int
        Its size.
    content : Content
        All that it shows.
    """

    rows: int
    rows_selected: int
    points: int
    clusters: int
    variance: tuple[float, float]
    notes: tuple[str, ...]
    seconds: dict[str, float]
    peak_rss_bytes: int
    output: str | None
    bytes: int
    content: Content

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON holds them, without the content."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        del values["content"]
        return {**values, "notes": list(self.notes), "variance": list(self.variance)}


def report(
    result: str | os.PathLike[str],
    *,
    output: str | os.PathLike[str] | None = None,
    full: Paths | None = None,
    clusters: str | os.PathLike[str] | None = None,
    label: str | None = None,
    hover: str | None = None,
    image: str | None = None,
    score: str | None = None,
    colour: str | None = None,
    umap: bool = False,
    examples: int = 4,
    metrics: bool = True,
    repeats: int = 5,
    sample: int = 10_000,
    overwrite: bool = False,
    **common: Unpack[CommonOptions],
) -> ReportResult:
    """Show a clustering or a selection: a map, distributions, classes, metrics, rows.

    Parameters
    ----------
    result : path
        What ``cluster`` or ``select`` wrote.
    output : path, optional
        ``X.html`` for a page that needs nothing else, ``X.png`` for the map alone; nothing is
        written without.
    full : path or sequence of paths, optional
        Where the dump lies now, if it has moved.
    clusters : path, optional
        A clustering of the same dump to look at a selection by. By default that which it was
        selected with, or else a k-means trained for the purpose.
    label, hover, image : str, optional
        Columns of classes, of what is told of a row, and of encoded pictures.
    score : str, optional
        A column, or an expression of columns, that holds every row's score.
    colour : str, optional
        What points are coloured by at first, one of :data:`COLOURS`.
    umap : bool
        Add a map by UMAP.
    examples : int
        Rows to look at, at either end of each cluster that is looked at.
    metrics : bool
        Evaluate a selection.
    repeats, sample : int
        Uniform subsets it is compared with, and rows that coverage is measured from.
    overwrite : bool
        Replace an earlier report.
    **common
        Options that every verb takes, see :class:`~coresift.api.run.CommonOptions`.

    Returns
    -------
    ReportResult

    Raises
    ------
    CoresiftError
        When the run cannot go on; nothing is left under ``output``.
    """
    name = os.fspath(result)
    _check(colour, label, examples)
    suffix = require_form(output)
    if umap:
        require_umap()
    provenance = read_provenance(Path(name), "a clustering or a selection")
    if provenance.command not in ("cluster", "select"):
        raise InputError(
            f"{name}: a result of `coresift {provenance.command}`, neither a clustering nor a "
            "selection",
            hint="coresift.report_comparison shows it"
            if provenance.command == "compare"
            else "give what `coresift cluster` or `coresift select` wrote",
        )
    paths = as_paths(provenance.paths if full is None else full)
    with Run(paths, common) as run:
        run.require_one_machine("report")
        dump = _opened(run, provenance, name, moved=full is not None)
        for column, option in ((hover, "--hover"), (label, "--label")):
            check_text(dump, column, option)
        check_image(dump, image)
        if label is not None:
            check_label(dump, label)
        asked = {
            "label": label, "hover": hover, "image": image, "score": score, "colour": colour,
            "umap": umap, "examples": examples,
            "metrics": metrics, "repeats": repeats, "sample": sample,
        }  # fmt: skip
        places = {"full": None if full is None else paths, "clusters": clusters, "output": output}
        wanted = Wanted(
            name=name,
            provenance=provenance,
            again=shell(
                report_line(name, {**places, **asked}, report.__kwdefaults__ or {}, common)
            ),
            label=label,
            hover=hover,
            image=image,
            score=_score(score, provenance, dump),
            colour=colour,
            umap=umap,
            density=suffix is not None,
            examples=examples,
        )
        target = None
        if output is not None:
            used = [name, *paths, *dump.options.vectors, *(table.ref.name for table in dump.tables)]
            target = Target(output, overwrite=overwrite, inputs=used, suffixes=tuple(_PACKAGES))
        opened = _Opened.of(dump, name, provenance, clusters)
        _require_colour(wanted, opened.subset)
        origin = _origin(run, dump, opened, name, asked)
        run.announce(origin)
        held = ROW_BYTES * dump.rows + _PAGE_BYTES
        held += workspace_bytes(dump.embedding.dim, run.engine.workers)
        run.budget.require(held, f"a report on {dump.rows:,} rows")
        evaluation = None
        if opened.subset is not None and metrics:
            # in a run of its own, whose vectors are gone before these are read
            with run.clock.stage("evaluate"):
                evaluation = evaluate(
                    name,
                    full=paths,
                    clusters=clusters,
                    label=label,
                    repeats=repeats,
                    sample=sample,
                    **common,
                )
            give_back()
        content = _content(run, dump, opened, wanted, evaluation, held)
        size = 0
        if target is not None:
            with run.clock.stage("write"), target:
                _write(content, target.staging)
                stamp(target.staging, origin)
                size = target.staging.stat().st_size
        return ReportResult(
            rows=content.drawn.all_rows,
            rows_selected=content.drawn.all_chosen,
            points=len(content.drawn.rows),
            clusters=len(content.clusters.size),
            variance=content.variance,
            notes=content.notes,
            output=None if target is None else target.name,
            bytes=size,
            content=content,
            **run.report(),
        )


def require_form(output: str | os.PathLike[str] | None) -> str | None:
    """Suffix of what is to be written; refused before anything is read where it cannot be.

    Raises
    ------
    CoresiftError
        When it is neither a page nor a picture, or what makes it is not installed.
    """
    if output is None:
        return None
    suffix = Path(output).suffix
    if suffix not in _PACKAGES:
        raise ParameterError(
            f"-o {os.fspath(output)}: neither a page nor a picture",
            hint="name it X.html for a page, or X.png for one picture",
        )
    for module, package in _PACKAGES[suffix].items():
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(package, "report", f"a report as {suffix}")
    return suffix


def _check(colour: str | None, label: str | None, examples: int) -> None:
    if colour is not None and colour not in COLOURS:
        raise ParameterError(f"--colour {colour!r} is not one of {', '.join(COLOURS)}")
    if colour == "label" and label is None:
        raise ParameterError("--colour label needs a label", hint="name its column with --label")
    if examples < 0:
        raise ParameterError(f"--examples {examples} is not at least 0")


def _opened(run: Run, provenance: Provenance, name: str, *, moved: bool) -> Dump:
    """The dump that the result was made from."""
    try:
        dump = run.open(options_of(run, provenance, None))
    except InputError as error:
        if moved:
            raise
        raise InputError(
            f"the dump that {name} was made from cannot be read: {error.message}",
            hint="say where it lies now with --full PATH",
        ) from error
    provenance.require_input(dump, name, "give --full the dump that it was made from")
    return dump


def _score(text: str | None, provenance: Provenance, dump: Dump) -> Column | None:
    """What gives every row's score: as asked for, or as the rows were selected by."""
    if text is None and provenance.method == "top-k" and provenance.params.get("scores") is None:
        text = provenance.params.get("score")
    return None if text is None else find_column(dump.schema, text, "--score")


def _require_colour(wanted: Wanted, subset: SubsetFile | None) -> None:
    """Refuse a colour that the result does not have."""
    if wanted.colour in ("selection", "weight") and subset is None:
        raise ParameterError(
            f"--colour {wanted.colour} is for a selection, and {wanted.name} is a clustering",
            hint="leave it out to colour by cluster",
        )
    scored = subset is not None and subset.score_column is not None
    if wanted.colour == "score" and wanted.score is None and not scored:
        raise ParameterError("--colour score needs scores", hint="name them with --score")


@dataclass(frozen=True)
class _Opened:
    """The result's files, and the clustering to look at it by."""

    subset: SubsetFile | None
    clustering: SavedClustering | None
    notes: list[str]

    @classmethod
    def of(
        cls,
        dump: Dump,
        name: str,
        provenance: Provenance,
        clusters: str | os.PathLike[str] | None,
    ) -> _Opened:
        if provenance.command == "cluster":
            if clusters is not None:
                raise ParameterError(
                    f"--clusters is for a selection, and {name} is a clustering",
                    hint="leave it out",
                )
            return cls(None, SavedClustering.open(Path(name)), [])
        subset = SubsetFile.open(name)
        notes: list[str] = []
        if clusters is None:
            return cls(subset, selected_with(dump, provenance, notes), notes)
        clustering = SavedClustering.open(Path(clusters))
        require_same_reading(dump, clustering, *EVALUATION)
        return cls(subset, clustering, notes)


def _origin(run: Run, dump: Dump, opened: _Opened, name: str, asked: dict[str, Any]) -> Provenance:
    """What a report comes from."""
    parents = {}
    if opened.subset is not None:
        parents["result"] = {
            "path": absolute(name),
            "digest": opened.subset.dump.fingerprint.digest,
        }
    if opened.clustering is not None:
        found = opened.clustering
        parents["clustering"] = {"path": absolute(str(found.path)), "digest": found.digest}
    inputs = run.input_provenance(dump)
    return Provenance(command="report", method="", params=asked, parents=parents, **inputs)


def _content(
    run: Run,
    dump: Dump,
    opened: _Opened,
    wanted: Wanted,
    evaluation: Evaluation | None,
    held: int,
) -> Content:
    reserve = held + _RUN_BYTES * run.engine.workers
    with run.clock.stage("read"):
        vectors = run.vectors(dump, reserve=reserve, keep=False)
        chosen, score = None, None
        if opened.subset is not None:
            chosen = opened.subset.read(vectors, dump.source)
            score = opened.subset.scores()
    clustering = opened.clustering
    if clustering is not None and clustering.rows != vectors.count:
        raise MismatchError(
            f"{clustering.path}: {clustering.rows:,} rows are clustered, expected the "
            f"{vectors.count:,} that are kept here",
            hint="run `coresift cluster` again",
        )
    notes = [*opened.notes]
    if evaluation is not None:
        # they may speak of another k-means than the one that is shown
        notes += [f"metrics: {note}" for note in evaluation.notes if note not in notes]
    metrics = {} if evaluation is None else evaluation.metrics
    resources = Resources(run.engine, run.budget, run.scratch, run.progress, run.seed)
    with run.clock.stage("look"):
        return gather(
            dump, vectors, Found(chosen, score, clustering, metrics, notes), wanted, resources
        )


def _write(content: Content, path: Path) -> None:
    if path.suffix == ".html":
        path.write_text(page(content), encoding="utf-8")
        return
    # UMAP, where it was asked for, is what is wanted of the one picture
    save_picture(content, content.colourings[0], content.layouts[-1], path)
