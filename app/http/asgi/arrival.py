"""A request's body on its way, as far as ASGI does not tell an application of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.http.errors import HttpError


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a connection hands over with a request, under ``arrival`` in its state.

    - ``go_on``: to be called before the body is waited for; tells a client that waits for it.
    - ``fault``: what is wrong with the body, once it has ended; None if nothing is.
    """

    go_on: Callable[[], Awaitable[None]]
    fault: Callable[[], HttpError | None]
