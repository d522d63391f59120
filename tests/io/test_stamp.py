"""Provenance in pages and pictures: there whatever it says, and seen by nobody."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from coresift.io.provenance import Provenance
from coresift.io.stamp import stamp, stamped

HOSTILE = "--><script>alert(1)</script><!-- \u202e \x00 ü"


def provenance(text: str) -> Provenance:
    return Provenance(
        command="report",
        method="",
        params={"label": text},
        seed=0,
        paths=[text],
        options={},
        fingerprint={"digest": "x"},
    )


def test_a_page_keeps_it_in_one_comment_at_its_end(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><title>x</title>\n<!--coresift {}-->\n")
    stamp(page, provenance(HOSTILE))
    assert stamped(page) == provenance(HOSTILE)
    added = page.read_text().splitlines()[-1]
    assert added.startswith("<!--coresift {")
    assert added.count("--") == 2
    assert added.count("<") == added.count(">") == 1


def test_a_picture_keeps_it_and_looks_the_same(tmp_path: Path) -> None:
    path = tmp_path / "map.png"
    stream = io.BytesIO()
    Image.effect_noise((40, 30), 50).save(stream, "PNG")
    path.write_bytes(stream.getvalue())
    assert stamped(path) is None
    stamp(path, provenance(HOSTILE))
    assert stamped(path) == provenance(HOSTILE)
    with Image.open(path) as after, Image.open(stream) as before:
        assert after.tobytes() == before.tobytes()
        # what stands after the pixels is read with them
        assert after.info.keys() == {*before.info, "coresift"}
    with Image.open(path) as after:
        after.verify()


@pytest.mark.parametrize("content", [b"", b"<html></html>", b"\x89PNG\r\n\x1a\n\x00\x00"])
@pytest.mark.parametrize("name", ["a.html", "a.png"])
def test_what_has_none_has_none(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert stamped(path) is None
