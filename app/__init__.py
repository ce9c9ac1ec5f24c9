"""Beamside: analyse light-source data where it lies. See docs/architecture.md."""

__version__ = "0.1.0"
