"""How the benchmark of rates summarises several measurements."""

from __future__ import annotations

import msgspec

from bench.rates import line
from tests.bench.test_results import phase


def test_rates_line_tells_medians() -> None:
    """Of three measurements of a second, half a second of CPU time for a thousand answers each."""
    several = [
        msgspec.structs.replace(phase("0.500", per_second, p99), rate=100.0)
        for per_second, p99 in ((90.0, 7.0), (100.0, 5.0), (200.0, 6.0))
    ]
    assert line(several, 1.0).split() == ["100", "100", "50", "%", "500", "+", "250", "1.0", "6.0"]
    assert line([phase("all", 80.0)], 2.0).split()[:4] == ["all", "80", "25", "%"]
