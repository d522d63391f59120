"""Draws docs/methods/*.svg: what each method chooses of the same 420 points in the plane.

The rows are chosen by the methods themselves, so a picture is stale when a method chooses other
rows; with --check, that fails.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

import coresift

FOLDER = Path(__file__).parent.parent / "docs" / "methods"
SIZE = 24
WIDTH, HEIGHT, MARGIN = 480, 300, 14
STYLE = (
    ".all{fill:#8a8f98;fill-opacity:.55}"
    ".chosen{fill:#d9480f;fill-opacity:.85;stroke:#fff;stroke-width:.8}"
)


@dataclass(frozen=True)
class Picture:
    """How a method is called; ``{folder}`` stands for where the points and clusterings lie."""

    size: int | None = SIZE
    clusters: str | None = None
    points: str = "points"
    params: dict[str, Any] = field(default_factory=dict)


PICTURES = {
    "balanced": Picture(clusters="levels"),
    "bandit": Picture(clusters="clusters", params={"score": "x"}),
    "coreset": Picture(clusters="clusters"),
    "dedup": Picture(size=None, params={"epsilon": 0.55}),
    "facility-location": Picture(),
    "herding": Picture(),
    "influence": Picture(
        points="gradients",
        params={"gradient": "embedding", "target": "{folder}/target.parquet"},
    ),
    "k-center": Picture(),
    "kernel-thinning": Picture(),
    "max-min": Picture(),
    "probability-coverage": Picture(points="probabilities"),
    "prototypes": Picture(clusters="clusters"),
    "random": Picture(),
    "semantic-compression": Picture(),
    "sensitivity": Picture(clusters="clusters"),
    "stochastic": Picture(params={"score": "x", "coldness": 3}),
    "top-k": Picture(params={"score": "x"}),
}


def points() -> NDArray[np.float32]:
    """A large cloud, a dense one, a long one, a ring, and some points on their own."""
    generator = np.random.default_rng(7)
    turn = generator.uniform(0.0, 2.0 * np.pi, 50)
    parts = [
        generator.normal((1.6, 1.5), (0.55, 0.5), (170, 2)),
        generator.normal((4.4, 3.6), (0.16, 0.16), (110, 2)),
        generator.normal((4.3, 0.9), (0.75, 0.1), (75, 2)),
        np.column_stack([6.9 + 0.75 * np.cos(turn), 2.8 + 0.75 * np.sin(turn)]),
        generator.uniform((0.2, 0.1), (7.8, 4.6), (15, 2)),
    ]
    return np.concatenate(parts).astype(np.float32)


def write(path: Path, vectors: NDArray[np.float32]) -> None:
    """Write vectors as a dump, with their kind and their place from left to right."""
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    kind = np.repeat(["cloud", "dense", "long", "ring", "alone"], [170, 110, 75, 50, 15])
    table = pa.table({"embedding": column, "x": vectors[:, 0], "kind": kind})
    pq.write_table(table, path)


def simplex(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of three classes for each point, by its distance to three places."""
    places = np.array([[1.6, 1.5], [4.4, 3.6], [6.9, 2.0]])
    logits = -((vectors[:, None] - places) ** 2).sum(axis=2) / 2.0
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float32] = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def flat(shares: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities of three classes as points of a triangle."""
    corners = np.array([[0.0, 0.0], [8.0, 0.0], [4.0, 4.6]])
    drawn: NDArray[np.float64] = shares.astype(np.float64) @ corners
    return drawn


def svg(
    at: NDArray[np.float64], rows: NDArray[np.int64], weight: NDArray[np.float64], title: str
) -> str:
    """All points, and the chosen ones with an area that grows with their weight."""
    low, high = at.min(axis=0), at.max(axis=0)
    scale = np.array([WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN]) / (high - low)
    placed = MARGIN + (at - low) * scale
    placed[:, 1] = HEIGHT - placed[:, 1]
    radius = np.clip(4.0 * np.sqrt(weight / weight.mean()), 2.0, 11.0)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{title}</title><style>{STYLE}</style>",
    ]
    lines += [f'<circle class="all" cx="{x:.1f}" cy="{y:.1f}" r="2"/>' for x, y in placed]
    lines += [
        f'<circle class="chosen" cx="{placed[row, 0]:.1f}" cy="{placed[row, 1]:.1f}" r="{r:.1f}"/>'
        for row, r in zip(rows.tolist(), radius.tolist(), strict=True)
    ]
    return "\n".join([*lines, "</svg>", ""])


def pictures() -> dict[str, str]:
    """All pictures by the name of their method."""
    found = {}
    at = points()
    shares = simplex(at)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "points.parquet", at)
        write(folder / "probabilities.parquet", shares)
        write(folder / "gradients.parquet", at - at.mean(axis=0))
        gradients = pq.read_table(folder / "gradients.parquet")
        pq.write_table(gradients.slice(170, 5), folder / "target.parquet")
        coresift.cluster(folder / "points.parquet", k=12, output=folder / "clusters")
        coresift.cluster(
            folder / "points.parquet", method="hierarchical", k=[24, 6], output=folder / "levels"
        )
        for method, picture in PICTURES.items():
            coresift.select(
                method,
                folder / f"{picture.points}.parquet",
                size=picture.size,
                output=folder / "chosen.parquet",
                clusters=folder / picture.clusters if picture.clusters else None,
                params={
                    key: value.format(folder=folder) if isinstance(value, str) else value
                    for key, value in picture.params.items()
                },
                overwrite=True,
            )
            chosen = pq.read_table(folder / "chosen.parquet")
            drawn = flat(shares) if picture.points == "probabilities" else at.astype(np.float64)
            title = f"{chosen.num_rows} of {len(at)} points, chosen by {method}"
            rows, weight = chosen["row"].to_numpy(), chosen["weight"].to_numpy()
            found[method] = svg(drawn, rows, weight, title)
    return found


def main() -> int:
    drawn = pictures()
    if "--check" not in sys.argv:
        for method, text in drawn.items():
            (FOLDER / f"{method}.svg").write_text(text)
        return 0
    stale = [
        method
        for method, text in drawn.items()
        if not (FOLDER / f"{method}.svg").exists() or (FOLDER / f"{method}.svg").read_text() != text
    ]
    if stale:
        print(f"pictures of {', '.join(stale)} are stale: run `make docs`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
