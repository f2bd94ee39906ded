"""Counts the HTTP front's connections and requests, and measures its latency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.http.gate import Gate
    from app.http.trail import Trail

ANSWER_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds; the reply timeout's default is the last."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER = "other"


class Traffic:
    """Counters that the front writes and the metrics and the overview read.

    The series are bounded by routes, methods and statuses: a path or method that a client makes up
    never becomes one.
    """

    __slots__ = (
        "_answers",
        "_gate",
        "abandonments",
        "connections_accepted",
        "connections_open",
        "connections_refused",
    )

    def __init__(self) -> None:
        self.connections_open = self.connections_accepted = self.connections_refused = 0
        self.abandonments = 0
        self._gate: Gate | None = None
        # Seconds until the answers began, by method, route and status.
        self._answers: dict[tuple[str, str, int], Histogram] = {}

    @property
    def requests(self) -> Mapping[tuple[str, str, int], int]:
        """How many requests were answered, by method, route and status."""
        return {series: seconds.count for series, seconds in self._answers.items()}

    @property
    def latencies(self) -> Mapping[tuple[str, str], Histogram]:
        """Seconds until the answers began, by method and route."""
        found: dict[tuple[str, str], list[Histogram]] = {}
        for (method, route, _), seconds in self._answers.items():
            found.setdefault((method, route), []).append(seconds)
        return {pair: Histogram.total(ANSWER_BOUNDS_S, parts) for pair, parts in found.items()}

    @property
    def in_hand(self) -> int:
        """How many requests are in flight now, of those that ``in_flight_max`` bounds."""
        return 0 if self._gate is None else self._gate.in_hand_now

    @property
    def bodies_bytes(self) -> int:
        """How many bytes the large bodies that are arriving or in flight take now."""
        return 0 if self._gate is None else self._gate.bodies.bytes

    def comes_through(self, gate: Gate) -> None:
        """Read current values from this gate, which counts them itself."""
        self._gate = gate

    def opened(self) -> None:
        """Count a connection as being served from now on."""
        self.connections_open += 1
        self.connections_accepted += 1

    def closed(self) -> None:
        """Count a served connection as closed."""
        self.connections_open -= 1

    def refused(self) -> None:
        """Count a connection that is not served."""
        self.connections_refused += 1

    def abandoned(self) -> None:
        """Count a request that ended before its answer began."""
        self.abandonments += 1

    def answered(self, trail: Trail) -> None:
        """Count a request whose answer begins now."""
        method = trail.method if trail.method in _METHODS else _OTHER
        series = (method, trail.route, trail.status)
        seconds = self._answers.get(series)
        if seconds is None:
            seconds = self._answers[series] = Histogram(ANSWER_BOUNDS_S)
        seconds.observe(trail.seconds)
