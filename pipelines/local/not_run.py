"""A run that ends on purpose before anything is done. Beam-free, for the command line."""

from __future__ import annotations


class NotRunError(Exception):
    """Raised where a graph was to be built and not run; says so. No fault: the command ends with status 0."""
