"""The version, in one place: it goes into every result's provenance."""

__version__ = "0.1.0"
