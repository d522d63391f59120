"""One selection in a process of its own, so that its seconds and its memory are its own.

The high-water mark of a process only rises, and what earlier work left in its allocators counts
too: the peak of one selection among many is known only of a process that makes no other.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from coresift.core.errors import CoresiftError, ResourceError


def select_apart(method: str, **options: Any) -> dict[str, Any]:
    """Run :func:`coresift.select` in a process of its own.

    Parameters
    ----------
    method : str
        The method.
    **options
        Keywords of ``select``, of values that JSON holds.

    Returns
    -------
    dict
        What ``coresift select --json`` prints.

    Raises
    ------
    CoresiftError
        What the selection raised, with the method's name; when the process died.
    """
    command = [sys.executable, "-m", "coresift.api.apart"]
    call = json.dumps({"method": method, **options})
    pipe = subprocess.PIPE
    with subprocess.Popen(  # noqa: S603
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            told, said = process.communicate(call)
        except BaseException:
            process.kill()
            raise
    try:
        answer: dict[str, Any] = json.loads(told)
    except ValueError:
        last = said.strip().splitlines()
        raise ResourceError(
            f"{method}: its process ended with code {process.returncode}"
            + (f": {last[-1]}" if last else ""),
            hint="memory may not have sufficed: give a smaller --memory",
        ) from None
    if "error" in answer:
        raise CoresiftError(f"{method}: {answer['error']}", hint=answer["hint"])
    return answer


def main() -> None:
    """Read a call from stdin, make it, and print its result."""
    from coresift.api.select import select

    options = json.load(sys.stdin)
    answer: dict[str, Any]
    try:
        answer = select(options.pop("method"), options.pop("paths"), **options).to_json()
    except CoresiftError as error:
        answer = {"error": error.message, "hint": error.hint}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
