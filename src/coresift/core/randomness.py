"""Randomness that is a function of (seed, purpose, row).

No batching, scheduling or sharding can change what a row draws, because nothing is drawn
in a sequence: a row's bits are a hash of the seed, the purpose and the row's id. The hash
is two rounds of the finaliser of MurmurHash3 as varied by Stafford (variant 13, the one of
SplitMix64), which passes the usual test batteries on counters.

Where numbers are drawn in sequence on the driver (seeding, a multinomial split), a
generator is made for that purpose alone by :func:`generator`.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)


def _key(seed: int, purpose: str) -> np.uint64:
    digest = hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z ^= z >> np.uint64(30)
    z *= _M1
    z ^= z >> np.uint64(27)
    z *= _M2
    z ^= z >> np.uint64(31)
    return z


def bits(seed: int, purpose: str, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """64 random bits per row.

    Parameters
    ----------
    seed : int
        The run's seed.
    purpose : str
        What the bits are for; different purposes give independent bits.
    rows : ndarray of int64, shape (m,)
        Row ids, not negative.

    Returns
    -------
    ndarray of uint64, shape (m,)
    """
    key = _key(seed, purpose)
    z = _mix(rows.astype(np.uint64) * _GOLDEN + key)
    return _mix(z + key)


def uniform(seed: int, purpose: str, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """A uniform number in the open interval (0, 1) per row, float64, on a grid of 2^-52."""
    steps = (bits(seed, purpose, rows) >> np.uint64(12)).astype(np.float64)
    return (steps + 0.5) * 2.0**-52


def generator(seed: int, purpose: str, index: int = 0) -> np.random.Generator:
    """Return a generator for one purpose (and one index within it), independent of all others."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{index}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
