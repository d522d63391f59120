"""The clustering that sets are judged by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from coresift.clustering.saved import SavedClustering
from coresift.evaluation.base import RowSet
from coresift.evaluation.grouping import Grouping
from tests.clustering.rows import Rows, brute_force
from tests.data import digits, digits_dump, gaussians
from tests.evaluation.cases import everything, resources
from tests.selection.saved import write_clustering


def test_share_of_saved_clusters_hit(tmp_path: Path) -> None:
    dump = digits_dump(tmp_path / "dump")
    far = np.full((1, 64), 100.0, np.float32)
    centroids = np.concatenate([digits()[0][:9], far])
    folder = write_clustering(tmp_path / "clustering", dump, centroids, group_rows=100)
    clustering = SavedClustering.open(folder)
    assert clustering.size[9] == 0
    first = RowSet(clustering.medoid[:1], np.ones(1))
    most = RowSet(np.sort(clustering.medoid[2:9]), np.ones(7))
    found = Grouping.of_saved(clustering, [everything(1797), first, most])
    assert found.clusters_hit()["clusters_hit"] == pytest.approx([1.0, 1 / 9, 7 / 9])
    assert found.hit[1].tolist() == [True] + [False] * 9


def test_a_reference_is_trained() -> None:
    array = gaussians(500, 4, 50)
    sets = [everything(500), RowSet(np.arange(5), np.ones(5))]
    with resources() as lent:
        found = Grouping.trained(Rows(array), sets, lent, spherical=False)
    labels, squared = brute_force(array, found.centroids)
    assert len(found.size) == 50
    np.testing.assert_array_equal(found.size, np.bincount(labels, minlength=50))
    assert found.cost.sum() == pytest.approx(squared.sum())
    hit = len(np.unique(labels[:5])) / np.count_nonzero(found.size)
    assert found.clusters_hit()["clusters_hit"] == pytest.approx([1.0, hit])


def test_few_rows_make_few_clusters() -> None:
    with resources() as lent:
        one = Grouping.trained(Rows(gaussians(9, 2, 3)), [everything(9)], lent, spherical=False)
        many = Grouping.trained(Rows(digits()[0]), [everything(9)], lent, spherical=False)
    assert (len(one.size), len(many.size)) == (1, 100)
