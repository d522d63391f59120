"""The memory budget of a run, and what the process has used."""

from __future__ import annotations

import contextlib
import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

from coresift.core.errors import ResourceError
from coresift.core.size import format_bytes

_DEFAULT_SHARE = 0.7


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return 0


def peak_rss() -> int:
    """Largest resident set of this process so far, in bytes.

    ``getrusage`` would report a parent's peak across exec; the kernel's VmHWM does not.
    """
    try:
        return _status("VmHWM")
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def current_rss() -> int:
    """Resident set of this process now, in bytes."""
    try:
        return _status("VmRSS")
    except OSError:
        return peak_rss()


def available() -> int:
    """Bytes that can be taken without swapping: the kernel's estimate, within the cgroup."""
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        free = min(free, max(0, limit - used))
    except (OSError, ValueError):
        pass
    return free


def give_back() -> None:
    """Return freed memory, which allocators keep for themselves, to the system."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    # other C libraries than glibc do without
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


@dataclass(frozen=True)
class Budget:
    """How much memory the process may hold, peak resident set, in bytes."""

    total: int

    @classmethod
    def default(cls) -> Budget:
        """70% of what is free now, on top of what the process already holds."""
        return cls(int(available() * _DEFAULT_SHARE) + current_rss())

    def left(self) -> int:
        """Bytes of the budget that the process does not hold yet."""
        return max(0, self.total - current_rss())

    def require(self, needed: int, purpose: str, *, hint: str | None = None) -> None:
        """Stop at the start when ``needed`` bytes more do not fit.

        Raises
        ------
        ResourceError
            Naming the figure that is needed and the one that is there.
        """
        if needed > self.left():
            raise ResourceError(
                f"{purpose} needs {format_bytes(needed)} of memory and the budget of "
                f"{format_bytes(self.total)} has {format_bytes(self.left())} left",
                hint=hint or f"raise --memory to at least {format_bytes(needed + current_rss())}",
            )
