"""The parts of a report, each against what it must be."""

from __future__ import annotations

import io
import shlex

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import hypergeom

from coresift.evaluation.base import BETTER, Metric
from coresift.reporting import colours
from coresift.reporting.clusters import Clusters
from coresift.reporting.command import shell
from coresift.reporting.distributions import Distribution
from coresift.reporting.drawn import (
    ABSENT,
    MOST_POINTS,
    Drawn,
    Layout,
    box_of,
    counts_of,
    density_png,
)
from coresift.reporting.html import fitting
from coresift.reporting.images import SIDE, thumbnail
from coresift.reporting.metrics import lines
from coresift.reporting.neighbours import umap_rows
from coresift.reporting.terminal import HIGH, WIDE, bars, plot
from coresift.reporting.text import shown, texts


def clusters_of(size: list[int], chosen: list[int]) -> Clusters:
    label = np.repeat(np.arange(len(size)), size).astype(np.int32)
    distance = np.arange(len(label), 0, -1, dtype=np.float32)
    return Clusters(label, distance, np.array(size), np.array(chosen), "a test")


def test_surprise_is_in_deviations_of_a_uniform_subset() -> None:
    found = clusters_of([50, 30, 15, 5], [2, 9, 6, 3])
    for cluster, size in enumerate([50, 30, 15, 5]):
        uniform = hypergeom(100, size, 20)
        assert found.expected[cluster] == pytest.approx(uniform.mean())
        assert found.chosen is not None
        excess = found.chosen[cluster] - uniform.mean()
        assert found.surprise[cluster] == pytest.approx(excess / uniform.std())
    assert found.over(4) == [3, 2, 1]
    assert found.under(4) == [0]
    assert found.largest(2) == [0, 1]
    assert found.by_distance(3).tolist() == [99, 98, 97, 96, 95]


def test_a_subset_in_proportion_surprises_nowhere() -> None:
    found = clusters_of([40, 40, 20], [4, 4, 2])
    np.testing.assert_array_equal(found.surprise, 0.0)
    assert found.over(3) == found.under(3) == []
    everything = clusters_of([3, 2], [3, 2])
    np.testing.assert_array_equal(everything.surprise, 0.0)


def test_distributions_are_shares_over_the_same_bins() -> None:
    generator = np.random.default_rng(3)
    whole = generator.normal(size=5000)
    chosen, weight = whole[:200], generator.uniform(0.5, 2.0, 200)
    found = Distribution.of("x", np.r_[whole, np.nan], chosen, weight)
    assert found is not None
    assert [part.role for part in found.spreads] == ["all", "chosen", "weighted"]
    for part, mass in zip(found.spreads, (np.ones(5000), np.ones(200), weight), strict=True):
        values = whole if part.role == "all" else chosen
        inside = np.clip(values, found.edges[0], found.edges[-1])
        expected = np.histogram(inside, found.edges, weights=mass)[0] / mass.sum()
        np.testing.assert_allclose(part.shares, expected)
        assert part.mean == pytest.approx(np.average(values, weights=mass))
        order = np.argsort(values)
        below = np.cumsum(mass[order]) / mass.sum()
        for mark, share in zip(part.marks, (0.05, 0.5, 0.95), strict=True):
            assert mark == values[order][np.searchsorted(below, share - 1e-12)]


def test_equal_weights_and_nothing_are_not_shown() -> None:
    two = Distribution.of("x", np.arange(9.0), np.arange(3.0), np.full(3, 3.0))
    assert two is not None
    assert len(two.spreads) == 2
    constant = Distribution.of("x", np.ones(4), None, None)
    assert constant is not None
    assert constant.spreads[0].shares.sum() == pytest.approx(1.0)
    assert Distribution.of("x", None, np.full(3, np.nan), None) is None


def test_points_are_all_rows_or_a_sample_that_no_split_changes() -> None:
    few = Drawn.of(np.arange(10), np.array([2, 5]), 0)
    assert few.rows.tolist() == list(range(10))
    assert np.flatnonzero(few.chosen).tolist() == [2, 5]
    many = MOST_POINTS + 1000
    some = np.arange(0, many, 100)
    drawn = Drawn.of(np.arange(many), some, 0)
    assert drawn.sampled
    assert len(drawn.rows) < many // 2
    assert drawn.chosen.sum() == len(some)
    assert (np.diff(drawn.rows) > 0).all()
    again = Drawn.of(np.arange(many), some, 0)
    np.testing.assert_array_equal(drawn.rows, again.rows)
    assert (drawn.rows < many // 2).mean() == pytest.approx(0.5, abs=0.01)


def test_coordinates_keep_their_place_in_two_bytes() -> None:
    points = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
    points[7] = np.nan
    box = box_of(points)
    layout = Layout.of("PCA", points, box, np.arange(500) < 20, axes=("", ""), about="")
    assert (layout.points, layout.chosen) == (499, 19)
    assert layout.x[7] == layout.y[7] == ABSENT
    back = box[0] + (layout.x.astype(float) + 32767) / 65534 * (box[1] - box[0])
    there = np.arange(500) != 7
    np.testing.assert_allclose(back[there], points[there, 0], atol=2e-4)


def test_the_background_has_every_row() -> None:
    from PIL import Image

    points = np.random.default_rng(0).normal(size=(2000, 2)).astype(np.float32)
    box = box_of(points)
    assert counts_of(points, box, (9, 9)).sum() == 2000
    one = np.array([[0.0, 0.0], [10.0, 10.0], [10.0, 10.0]], np.float32)
    picture = np.asarray(Image.open(io.BytesIO(density_png(one, box_of(one)))))
    alpha = picture[..., 1]
    left_below, right_above = alpha[len(alpha) // 2 :, : len(alpha) // 2], alpha[: len(alpha) // 2]
    assert np.count_nonzero(alpha) == 2
    assert 0 < left_below.max() < right_above.max()


def test_colours_of_numbers_are_steps_of_as_many_points() -> None:
    values = np.r_[np.random.default_rng(1).exponential(size=600), np.nan]
    found = colours.by_number("score", "score", values)
    assert found is not None
    assert found.codes[-1] == colours.GREY
    counts = np.bincount(found.codes[:-1])
    assert len(counts) == len(found.names) == 6
    assert counts.max() - counts.min() <= 2
    assert (np.diff([values[:-1][found.codes[:-1] == code].max() for code in range(6)]) > 0).all()
    few = colours.by_number("weight", "weight", np.array([2.0, 1.0, 2.0, np.nan]))
    assert few is not None
    assert few.names == ("1", "2")
    assert few.codes.tolist() == [1, 0, 1, colours.GREY]
    assert colours.by_number("weight", "weight", np.full(3, np.nan)) is None


def test_colours_of_clusters_name_those_that_there_are() -> None:
    label = np.arange(26, dtype=np.int32)
    found = colours.by_cluster(label[:20], 20)
    assert found.names[:2] == ("0, 12", "1, 13")
    assert found.names[7:9] == ("7, 19", "8")
    assert colours.by_cluster(label, 26).names[:3] == ("0, 12, \u2026", "1, 13, \u2026", "2, 14")
    assert colours.by_cluster(label[:2], 2).names == ("cluster 0", "cluster 1")


def test_colours_of_classes_go_to_the_largest() -> None:
    codes = np.r_[np.repeat(np.arange(20), np.arange(20, 0, -1)), -1].astype(np.int32)
    names = [str(10 * code) for code in range(20)]
    found = colours.by_label(codes, names, "label")
    assert found.names == tuple(names[: colours.HUES])
    assert (found.codes[codes >= colours.HUES] == colours.GREY).all()
    assert found.codes[-1] == colours.GREY
    assert [found.names[code] for code in found.codes[:25]] == ["0"] * 20 + ["10"] * 5
    assert "8 other classes" in found.about


def test_texts_are_one_line_of_bounded_length() -> None:
    assert shown("a\nb\t c", 20) == "a b c"
    assert shown("x" * 50, 10) == "x" * 9 + "\u2026"
    assert shown("\x00\x1b[1m", 20) == "\ufffd\ufffd[1m"
    assert shown(None, 5) == ""
    assert shown(0.1 + 0.2, 20) == "0.3"
    assert shown("e\u0301" * 20, 10).endswith("\u2026")
    values = pa.array(["<b>", None, "&"]).dictionary_encode()
    assert texts(values, 5) == ["<b>", "", "&"]


def test_texts_are_cut_until_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    import gzip
    import json
    import secrets

    from coresift.reporting import html

    monkeypatch.setattr(html, "_TEXT_BYTES", 20_000)
    given = [secrets.token_hex(80) for _ in range(600)]
    found = fitting(given)
    assert len(gzip.compress(json.dumps(found).encode())) <= 20_000
    kept = len(found[0]) - 1
    assert kept >= 24
    assert all(one[:kept] == other[:kept] for one, other in zip(found, given, strict=True))
    assert fitting(["short", ""]) == ["short", ""]


def picture(width: int, height: int, kind: str = "PNG", mode: str = "RGB") -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.new(mode, (width, height)).save(stream, kind)
    return stream.getvalue()


def test_thumbnails_are_written_anew() -> None:
    import base64

    from PIL import Image

    for given in (picture(8, 8), picture(900, 300, "JPEG"), picture(300, 20, "GIF", "P")):
        uri = thumbnail(given)
        assert uri is not None
        head, _, data = uri.partition(",")
        found = Image.open(io.BytesIO(base64.b64decode(data)))
        assert head == f"data:image/{str(found.format).lower()};base64"
        assert max(found.size) <= SIDE
    assert thumbnail({"bytes": picture(8, 8), "path": "a.png"}) == thumbnail(picture(8, 8))
    for broken in (None, b"", b"<svg onload=alert(1)>", picture(8, 8)[:40], "text", {"path": "x"}):
        assert thumbnail(broken) is None


def test_a_metric_is_remarkable_beyond_two_deviations() -> None:
    metrics = {
        "mmd": Metric(0.1, 0.5, 0.1, "lower"),
        "coverage_max": Metric(0.7, 0.5, 0.05, "lower"),
        "clusters_hit": Metric(0.6, 0.5, 0.06, "higher"),
        "label_entropy": Metric(9.0, 0.5, None, "higher"),
    }
    assert [line.verdict for line in lines(metrics)] == ["better", "worse", "alike", "alike"]
    rounded = {"vendi_score": Metric(1.0 + 4e-16, 1.0, 9e-17, "higher")}
    assert [line.verdict for line in lines(rounded)] == ["alike"]


def test_every_metric_says_what_it_is() -> None:
    found = lines({name: Metric(1.0, 1.0, 0.1, better) for name, better in BETTER.items()})
    assert [line.name for line in found if not line.meaning] == []


def test_umap_is_made_of_few_rows_of_both_kinds() -> None:
    rows = np.arange(40_000)
    places = umap_rows(rows, rows % 2 == 0, 0)
    assert places is not None
    assert len(places) == 10_000
    assert (places % 2 == 0).mean() == pytest.approx(0.5)
    mostly = umap_rows(rows, rows > 100, 0)
    assert mostly is not None
    assert len(mostly) == 10_000
    assert umap_rows(rows[:5], rows[:5] > 1, 0) is None


def test_umap_keeps_neighbours_together() -> None:
    pytest.importorskip("umap")
    from coresift.clustering.points import Held
    from coresift.reporting.neighbours import umap
    from tests.data import gaussians

    points = Held(gaussians(90, 8, 3))
    found = umap(points, np.arange(90), 0)
    assert found.shape == (90, 2)
    groups = [found[start::3] for start in range(3)]
    centers = np.array([group.mean(axis=0) for group in groups])
    inside = max(np.linalg.norm(g - c, axis=1).max() for g, c in zip(groups, centers, strict=True))
    between = min(np.linalg.norm(centers[a] - centers[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    assert between > 2.0 * inside
    np.testing.assert_array_equal(found, umap(points, np.arange(90), 0))


def test_characters_show_every_point() -> None:
    corners = np.array([[0.0, 0.0], [1.0, 1.0], [0.5, 0.5]], np.float32)
    flags = np.array([False, False, True])
    layout = Layout.of("PCA", corners, (0.0, 1.0, 0.0, 1.0), flags, axes=("", ""), about="")
    found = plot(layout, flags)
    text = ["".join(piece for piece, _ in line) for line in found]
    assert len(text) == HIGH
    assert {len(line) for line in text} == {WIDE}
    assert text[-1][0] == "\u2840"
    assert text[0][-1] == "\u2808"
    assert sum(character != " " for line in text for character in line) == 3
    assert next(piece for line in found for piece, marked in line if marked).strip() != ""


def test_bars_fit_a_line() -> None:
    assert bars(np.array([0.0, 1.0, 8.0])) == " \u2581\u2588"
    assert len(bars(np.arange(1000.0), 40)) == 40
    assert bars(np.zeros(3)) == "   "


def test_a_shell_reads_what_is_written() -> None:
    words = [
        "select",
        "random",
        "a b/$(x)",
        "--where",
        "x > 'y' and z",
        "-n",
        "5",
        "-o",
        "-out" * 9,
    ]
    line = shell(words)
    assert shlex.split(line.replace("\\\n", "")) == ["coresift", *words]
    assert shell(["replay", "a", "-o", "b"]) == "coresift replay a -o b"
