"""Where the packed program begins; the rest is what an installed ``holdfast`` runs."""

from __future__ import annotations

import sys

from app.cli import main

sys.exit(main())
