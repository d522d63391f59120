"""The one exception tree.

Every error that a user can cause or cure derives from :class:`CoresiftError`; the
command line turns it into one ``error:`` line, a ``hint:`` line and an exit code.
"""

from __future__ import annotations


class CoresiftError(Exception):
    """A run that cannot go on.

    Parameters
    ----------
    message : str
        One line that names the file, column or option, what was found and what was expected.
    hint : str, optional
        What to do about it, one line.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(CoresiftError):
    """The dump, or a file that goes with it, cannot be used as it is."""


class MismatchError(InputError):
    """Two inputs that must belong together do not: a clustering made from another dump, say."""


class ParameterError(CoresiftError):
    """A parameter is out of its bounds or does not go with another."""


class OutputError(CoresiftError):
    """The target cannot be written."""


class ResourceError(CoresiftError):
    """Memory, disk or a device does not suffice; the message holds the figure needed."""


class MissingExtraError(CoresiftError):
    """An optional dependency is not installed.

    Parameters
    ----------
    package : str
        The distribution that is missing.
    extra : str
        The extra of coresift that installs it.
    purpose : str
        What it is needed for, completing "... needs <package>".
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package}, which is not installed",
            hint=f"pip install 'coresift[{extra}]'",
        )
        self.package = package
        self.extra = extra
