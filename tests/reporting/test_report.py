"""The verb and the command: what is written, what is refused, and what makes it again."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import coresift
from coresift.core.errors import CoresiftError, MissingExtraError
from tests.cli.command import coresift as run
from tests.cli.command import leftovers
from tests.data import digits, digits_dump, vector_table, write_dump
from tests.reporting.results import CHOSEN, CLUSTERS, Results


def test_what_is_counted(results: Results, tmp_path: Path) -> None:
    found = coresift.report(results.subset, output=tmp_path / "r.html", label="label", repeats=1)
    labels = digits()[1]
    chosen = pq.read_table(results.subset / "part-00000.parquet")
    content = found.content
    assert (found.rows, found.rows_selected, found.points) == (len(labels), CHOSEN, len(labels))
    assert found.bytes == (tmp_path / "r.html").stat().st_size
    assert content.classes is not None
    mine = labels[chosen["row"].to_numpy()]
    for item in content.classes.shown:
        assert item.rows == (labels == int(item.name)).sum()
        assert item.chosen == (mine == int(item.name)).sum()
        weight = chosen["weight"].to_numpy()
        share = weight[mine == int(item.name)].sum() / weight.sum()
        assert item.weighted_share == pytest.approx(share)
    assert content.clusters.chosen is not None
    counts = np.bincount(chosen["cluster"].to_numpy(), minlength=CLUSTERS)
    np.testing.assert_array_equal(content.clusters.chosen, counts)
    assert content.facts.weight is not None
    np.testing.assert_array_equal(
        content.facts.weight[content.drawn.chosen], chosen["weight"].to_numpy()
    )
    np.testing.assert_array_equal(
        content.facts.score[content.drawn.chosen],  # type: ignore[index]
        chosen["score"].to_numpy(),
    )
    assert set(content.metrics) >= {"mmd", "coverage_mean", "probe_accuracy"}
    assert [gallery.key for gallery in content.galleries] == ["largest", "over", "under"]


def test_metrics_are_those_of_evaluate(results: Results) -> None:
    found = coresift.report(results.subset, repeats=2, sample=500)
    other = coresift.evaluate(results.subset, full=results.dump, repeats=2, sample=500)
    assert found.content.metrics == other.metrics


def test_typical_rows_are_nearest_to_their_centroid(results: Results) -> None:
    content = coresift.report(results.clusters, examples=3).content
    table = pq.read_table(results.clusters / "centroids.parquet")
    for sight in content.galleries[0].sights:
        assert sight.typical[0].row == table["medoid"][sight.cluster].as_py()
        distances = [item.distance for item in (*sight.typical, *reversed(sight.untypical))]
        assert distances == sorted(distances)
        assert len(distances) == 6


def test_top_k_is_compared_by_its_score(results: Results, tmp_path: Path) -> None:
    subset = tmp_path / "best.parquet"
    coresift.select("top-k", results.dump, size=50, output=subset, params={"score": "quality * 2"})
    content = coresift.report(subset, metrics=False).content
    (_, score) = content.distributions
    assert [part.role for part in score.spreads] == ["all", "chosen"]
    quality = 2.0 * np.arange(len(digits()[1])) / len(digits()[1])
    assert score.spreads[0].mean == pytest.approx(quality.mean())
    assert score.spreads[1].mean == pytest.approx(quality[-50:].mean())
    assert content.clusters.source.startswith("a k-means with k=50")


def test_a_filter_and_another_metric_are_followed(results: Results, tmp_path: Path) -> None:
    subset = tmp_path / "odd.parquet"
    coresift.select(
        "random", results.dump, size=40, output=subset, where="label != 4", metric="cosine"
    )
    found = coresift.report(subset, metrics=False, label="label")
    assert found.rows == (digits()[1] != 4).sum()
    assert found.content.classes is not None
    assert "4" not in found.content.classes.names


def test_the_command_makes_the_result_again(results: Results, tmp_path: Path) -> None:
    levels, balanced = tmp_path / "it's levels", tmp_path / "balanced"
    coresift.cluster(
        results.dump,
        k=[12, 3],
        method="hierarchical",
        output=levels,
        resamples=1,
        where="label < 8",
    )
    coresift.select("balanced", results.dump, size="5%", output=balanced, clusters=levels, seed=3)
    strata = tmp_path / "strata.parquet"
    coresift.select(
        "random", results.dump, size=30, output=strata, params={"by": "label"}, prefix="c_",
        columns=["label", "text"],
    )  # fmt: skip
    for path in (results.subset, results.clusters, levels, balanced, strata):
        content = coresift.report(path, metrics=False).content
        words = shlex.split(content.command.replace("\\\n", ""))
        done = run(*words[1:], cwd=tmp_path)
        assert done.code == 0, done.err
        again = Path(words[-1])
        files = [Path()] if path.is_file() else sorted(
            file.relative_to(path) for file in path.rglob("*.parquet")
        )  # fmt: skip
        for file in files:
            assert pq.read_table(path / file).equals(pq.read_table(again / file)), words
        for line in (content.replay, content.again):
            assert shlex.split(line.replace("\\\n", ""))[2] == str(path)


def test_a_picture(results: Results, tmp_path: Path) -> None:
    from PIL import Image

    for colour in ("selection", "label", "weight"):
        target = tmp_path / f"{colour}.png"
        coresift.report(results.subset, output=target, metrics=False, label="label", colour=colour)
        with Image.open(target) as picture:
            assert picture.format == "PNG"
            assert picture.width >= 1000
            assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 50


def test_the_terminal(results: Results) -> None:
    done = run("report", results.subset, "--terminal", "--repeats", 1, cwd=results.folder)
    assert done.code == 0, done.err
    assert "120 of 1,797 rows" in done.out
    assert any(0x2800 < ord(character) < 0x2900 for character in done.out)
    assert "\x1b" not in done.out
    assert "kmeans_cost_error_mean" in done.out


def test_json_and_leftovers(results: Results, tmp_path: Path) -> None:
    done = run("report", results.clusters, "-o", "a.html", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    facts = json.loads(done.out)
    assert facts["clusters"] == CLUSTERS
    assert facts["bytes"] == (tmp_path / "a.html").stat().st_size
    assert leftovers(tmp_path) == []
    assert run("report", results.clusters, "-o", "a.html", cwd=tmp_path).code == 1
    assert run("report", results.clusters, "-o", "a.html", "--overwrite", cwd=tmp_path).code == 0
    assert run("report", results.clusters, cwd=tmp_path).code == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "a.pdf"}, "neither a page nor a picture"),
        ({"label": "lable"}, "no column 'lable'"),
        ({"hover": "picture"}, "not one text or number"),
        ({"hover": "embedding"}, "not one text or number"),
        ({"image": "text"}, "not pictures"),
        ({"colour": "label"}, "needs a label"),
        ({"colour": "red"}, "is not one of"),
        ({"score": "qualty + 1"}, "qualty"),
    ],
)
def test_what_is_refused(results: Results, options: dict[str, str], message: str) -> None:
    with pytest.raises(CoresiftError, match=message):
        coresift.report(results.subset, **options)  # type: ignore[arg-type]


def test_colours_that_the_result_does_not_have(results: Results, tmp_path: Path) -> None:
    for colour in ("selection", "weight"):
        with pytest.raises(CoresiftError, match=f"--colour {colour} is for a selection"):
            coresift.report(results.clusters, colour=colour)
    plain = tmp_path / "plain.parquet"
    coresift.select("random", results.dump, size=9, output=plain)
    for result in (results.clusters, plain):
        with pytest.raises(CoresiftError, match="--colour score needs scores"):
            coresift.report(result, colour="score", metrics=False)
        found = coresift.report(result, colour="score", score="quality", metrics=False)
        assert found.content.colourings[0].key == "score"
    assert coresift.report(results.subset, colour="score", metrics=False).rows_selected == CHOSEN


def test_its_own_command_makes_the_same_report_again(results: Results, tmp_path: Path) -> None:
    first, second = tmp_path / "a.html", tmp_path / "b.html"
    found = coresift.report(
        results.clusters,
        output=first,
        examples=2,
        colour="score",
        score="quality * 2",
        label="label",
        seed=5,
        full=results.dump,
    )
    words = shlex.split(found.content.again.replace("\\\n", ""))
    done = run(*words[1:-1], second, cwd=tmp_path)
    assert done.code == 0, done.err
    assert second.read_text().replace("b.html", "a.html") == first.read_text()
    again = coresift.report(results.subset, repeats=1, sample=99, memory="2GB").content.again
    assert "--repeats 1 --sample 99" in " ".join(again.replace("\\\n", "").split())
    assert "--memory" not in again
    assert "--no-metrics" in coresift.report(results.subset, metrics=False).content.again


def test_rows_that_do_not_differ_have_no_map_by_umap(tmp_path: Path) -> None:
    pytest.importorskip("umap")
    dump = write_dump(tmp_path / "dump", vector_table(np.ones((40, 3), np.float32)))
    coresift.select("random", dump, size=5, output=tmp_path / "s.parquet")
    found = coresift.report(
        tmp_path / "s.parquet", output=tmp_path / "r.html", umap=True, metrics=False
    )
    assert [layout.name for layout in found.content.layouts] == ["PCA"]
    assert any("no map by UMAP" in note for note in found.notes)


def test_notes_of_the_metrics_say_so(results: Results, tmp_path: Path) -> None:
    coresift.select("random", results.dump, size=9, output=tmp_path / "s.parquet")
    found = coresift.report(tmp_path / "s.parquet", repeats=1)
    assert found.clusters == 50
    assert any(note.startswith("metrics: ") and "k=100" in note for note in found.notes)


def test_a_dump_that_moved_or_changed(tmp_path: Path) -> None:
    dump, subset = digits_dump(tmp_path / "here"), tmp_path / "s.parquet"
    coresift.select("random", dump, size=20, output=subset)
    moved = shutil.move(dump, tmp_path / "there")
    with pytest.raises(CoresiftError, match="cannot be read") as caught:
        coresift.report(subset)
    assert "--full" in str(caught.value.hint)
    assert coresift.report(subset, full=moved, metrics=False).rows_selected == 20
    other = digits_dump(tmp_path / "other", files=2)
    with pytest.raises(CoresiftError, match="made from another input"):
        coresift.report(subset, full=other)


def test_a_file_without_origin(results: Results, tmp_path: Path) -> None:
    with pytest.raises(CoresiftError, match="no provenance"):
        coresift.report(results.dump / "emb-000.parquet")


def test_a_missing_package_is_told_before_anything_is_read(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import util

    found = util.find_spec
    for missing, options in (
        ("plotly", {"output": "a.html"}),
        ("matplotlib", {"output": "a.png"}),
        ("umap", {"umap": True}),
    ):
        monkeypatch.setattr(
            util, "find_spec", lambda name, gone=missing: None if name == gone else found(name)
        )
        with pytest.raises(MissingExtraError) as caught:
            coresift.report("no-such-result", **options)
        assert "pip install 'coresift[" in str(caught.value.hint)


def test_results_do_not_depend_on_threads_and_files(tmp_path: Path) -> None:
    pages = []
    for files, threads, batch in ((1, 1, None), (3, 2, 100)):
        folder = tmp_path / f"{files}"
        folder.mkdir()
        dump = digits_dump(folder / "dump", files=files)
        subset = folder / "subset.parquet"
        coresift.select("random", dump, size=60, output=subset)
        found = coresift.report(subset, label="label", threads=threads, batch_rows=batch).content
        pages.append(found)
    one, other = pages
    for name in ("x", "y"):
        np.testing.assert_array_equal(
            getattr(one.layouts[0], name), getattr(other.layouts[0], name)
        )
    np.testing.assert_array_equal(one.clusters.label, other.clusters.label)
    assert one.metrics == other.metrics
    assert one.galleries == other.galleries
