"""The entry point of the packed program, the same as that of an installed ``holdfast``."""

from __future__ import annotations

import sys

from app.cli import main

sys.exit(main())
