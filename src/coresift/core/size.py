"""Sizes as people write them: a count or a share of rows, and bytes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction

from coresift.core.errors import ParameterError

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclass(frozen=True)
class Size:
    """How many rows to choose: ``5000`` or ``10%``.

    Attributes
    ----------
    count : int or None
        The number of rows, when given as a count.
    share : Fraction or None
        The share of the rows, in (0, 1], when given as a percentage.
    """

    count: int | None = None
    share: Fraction | None = None

    @classmethod
    def parse(cls, text: str | int) -> Size:
        """Read ``5000``, ``5_000`` or ``12.5%``.

        Raises
        ------
        ParameterError
            When the text is neither, or not positive.
        """
        raw = str(text).strip()
        try:
            if raw.endswith("%"):
                share = Fraction(raw[:-1].strip()) / 100
                if not 0 < share <= 1:
                    raise ValueError(raw)
                return cls(share=share)
            count = int(raw)
            if count < 1:
                raise ValueError(raw)
            return cls(count=count)
        except (ValueError, ZeroDivisionError):
            raise ParameterError(
                f"size {raw!r} is neither a positive count nor a share in (0%, 100%]",
                hint="write -n 5000 or -n 10%",
            ) from None

    def resolve(self, rows: int, *, what: str = "rows to choose from", flag: str = "-n") -> int:
        """Rows to choose out of ``rows``; a share is rounded to the nearest row, at least 1.

        Raises
        ------
        ParameterError
            When more is asked for than there is.
        """
        if self.share is not None:
            return min(rows, max(1, math.floor(self.share * rows + Fraction(1, 2))))
        assert self.count is not None
        if self.count > rows:
            raise ParameterError(
                f"size {self.count:,} is more than the {rows:,} {what}",
                hint=f"ask for at most {rows:,} with {flag}, or for a share such as {flag} 10%",
            )
        return self.count

    def __str__(self) -> str:
        if self.share is not None:
            return f"{float(self.share * 100):g}%"
        return str(self.count)


def parse_bytes(text: str | int) -> int:
    """Read ``8GB`` (10^9), ``8GiB`` (2^30), ``512M`` or a number of bytes.

    Raises
    ------
    ParameterError
        When the text is not a positive size.
    """
    raw = str(text).strip()
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(I?)B?", raw.upper())
    if match is None or float(match[1]) <= 0 or (match[3] and not match[2]):
        raise ParameterError(
            f"{raw!r} is not a size in bytes", hint="write 8GB, 512MiB or a number of bytes"
        )
    unit = _BINARY_UNITS[match[2]] if match[3] else _UNITS[match[2]]
    return int(Fraction(match[1]) * unit)


def format_bytes(count: float) -> str:
    """Write bytes for a person, in powers of ten: ``1.5 GB``."""
    for unit, scale in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{int(count)} B"
