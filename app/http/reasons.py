"""The reason phrases of RFC 9110, for the status line of an answer."""

from __future__ import annotations

from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# Before 3.13, Python has the phrases of older RFCs for these.
_RENAMED: Final[Mapping[int, bytes]] = MappingProxyType(
    {413: b"Content Too Large", 414: b"URI Too Long", 422: b"Unprocessable Content"}
)


def reason_of(status: int) -> bytes:
    """Return the reason phrase of a status.

    Raises:
        ValueError: there is no such status.
    """
    return _RENAMED.get(status) or HTTPStatus(status).phrase.encode("ascii")
