"""Packages that only some of what the program can do needs: what is missing, and the way to it.

They are named themselves, never as an extra of ``holdfast``: on the public index that name is
another project's.
"""

from __future__ import annotations

import sys
from typing import Final

CHARTS: Final = ("matplotlib>=3.10",)
OTEL: Final = ("opentelemetry-exporter-otlp-proto-http>=1.40,<2", "opentelemetry-sdk>=1.40,<2")


def way_to(packages: tuple[str, ...]) -> str:
    """Say how to get packages that are missing; into the one-file program nothing can come."""
    if getattr(sys, "frozen", False):
        return "this one-file program does not include them; install Holdfast with Python"
    return "pip install " + " ".join(f"'{package}'" for package in packages)
