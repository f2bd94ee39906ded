"""The state of an arriving body that ASGI does not expose to an application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.http.errors import HttpError


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a connection passes with a request, under ``arrival`` in its state.

    - ``go_on``: call it before waiting for the body; it sends 100 Continue if the client waits.
    - ``fault``: what is wrong with the body, once it has ended; None if nothing is.
    """

    go_on: Callable[[], Awaitable[None]]
    fault: Callable[[], HttpError | None]
