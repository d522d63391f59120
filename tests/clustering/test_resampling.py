"""Points of each cluster, against a sort of all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coresift.clustering import resampling
from coresift.clustering.resampling import _taken
from coresift.io.store import RowStore


@given(
    clusters=st.integers(1, 6),
    size=st.integers(1, 12),
    keys=st.lists(
        st.one_of(st.integers(0, 3), st.integers(0, (1 << 32) - 1)), min_size=1, max_size=60
    ),
    seed=st.integers(0, 1 << 16),
    bits=st.sampled_from([2, 9, 22]),
)
def test_the_smallest_keys_of_each_cluster_are_taken(
    clusters: int, size: int, keys: list[int], seed: int, bits: int
) -> None:
    cluster = np.random.default_rng(seed).integers(0, clusters, len(keys))
    store = RowStore(len(keys), 2, np.dtype(np.uint32), None)
    store.write(0, np.stack([cluster, np.array(keys)], axis=1).astype(np.uint32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "_CHUNK", 7)
        patch.setattr(resampling, "_COUNTS_BITS", bits)
        found = np.flatnonzero(_taken(store, clusters, size))
    expected = [
        row
        for number in range(clusters)
        for row in sorted(np.flatnonzero(cluster == number), key=lambda row: (keys[row], row))[
            :size
        ]
    ]
    assert found.tolist() == sorted(expected)
