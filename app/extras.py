"""Optional packages, which only some features need, and how to install them.

They are named directly, never as an extra of ``holdfast``: on the public index that name belongs
to another project.
"""

from __future__ import annotations

import sys
from typing import Final

CHARTS: Final = ("matplotlib>=3.10",)
OTEL: Final = ("opentelemetry-exporter-otlp-proto-http>=1.40,<2", "opentelemetry-sdk>=1.40,<2")


def way_to(packages: tuple[str, ...]) -> str:
    """Say how to install missing packages; nothing can be added to the one-file program."""
    if getattr(sys, "frozen", False):
        return "this one-file program does not include them; install Holdfast with Python"
    return "pip install " + " ".join(f"'{package}'" for package in packages)
