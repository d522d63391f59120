"""The random projection: its elements, its products, and what does not change them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from coresift.influence.projection import Projection


def test_elements_are_functions_of_seed_parameter_and_column() -> None:
    whole = Projection(200, seed=3).signs(0, 5000)
    assert set(np.unique(whole)) == {-1.0, 1.0}
    assert_array_equal(Projection(200, seed=3).signs(17, 90), whole[17:90])
    # fewer columns are the first of more
    assert_array_equal(Projection(70, seed=3).signs(40, 50), whole[40:50, :70])
    other = Projection(200, seed=4).signs(0, 5000)
    assert abs(float((whole * other).mean())) < 5e-3
    # rows and columns are not alike either: a million signs
    assert abs(float(whole.mean())) < 5e-3
    assert np.abs(whole.T @ whole / 5000 - np.eye(200)).max() < 0.08


def test_projections_are_products_with_the_signs() -> None:
    generator = np.random.default_rng(0)
    gradients = generator.normal(size=(37, 3000)).astype(np.float32)
    made = Projection(96, seed=1)
    expected = gradients.astype(np.float64) @ made.signs(0, 3000) / np.sqrt(96)
    for parts in ([gradients], [gradients[:, :1500], gradients[:, 1500:1510], gradients[:, 1510:]]):
        np.testing.assert_allclose(made.apply(parts), expected, atol=2e-4)


@pytest.mark.parametrize("seed", [0, 1])
def test_norms_and_products_are_kept(seed: int) -> None:
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(200, 4000)).astype(np.float32)
    # gradients are neither dense nor even: some have a few large elements
    vectors[:100] *= generator.random((100, 4000)) < 0.01
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    dim = 1024
    found = Projection(dim, seed).apply([vectors]).astype(np.float64)
    # Achlioptas 2003, lemma 1.1: off by a quarter with a probability below 2e-5 for all of them
    squared = np.square(found).sum(axis=1)
    assert np.all(np.abs(squared - 1.0) < 0.25)
    off = (found @ found.T - vectors.astype(np.float64) @ vectors.T)[np.triu_indices(200, 1)]
    # unbiased, with the variance (1 + (x . y)^2 - 2 sum x^2 y^2) / dim
    assert abs(off.mean()) < 1e-3
    assert 0.8 < off.std() * np.sqrt(dim) < 1.2
    assert np.abs(off).max() < 6.0 / np.sqrt(dim)
