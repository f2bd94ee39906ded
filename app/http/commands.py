"""Parses the bodies of commands, with a cache: players send the same few orders repeatedly."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from app.http.json import decode_body

if TYPE_CHECKING:
    from app.http.exchange import HttpRequest

COMMANDS_MAX: Final = 1_024
"""How many bodies are cached for each kind; beyond that the oldest is evicted."""

BODY_BYTES_MAX: Final = 256
"""The size up to which a body is cached."""

_encode_canonical = msgspec.json.Encoder(order="deterministic").encode


class Command(NamedTuple):
    """A parsed command, and its digest, which is stored with its idempotency key."""

    body: object
    fingerprint: bytes


class Commands:
    """Reads the bodies of one kind of command, ``type_``."""

    __slots__ = ("_known", "_type")

    def __init__(self, type_: type[object] | None) -> None:
        self._type = type_
        self._known: OrderedDict[tuple[str, bytes], Command] = OrderedDict()

    def read(self, request: HttpRequest) -> Command:
        """Parse a request's body; its value is None if this kind has no body.

        Raises: as `decode_body`.
        """
        key = (request.path, request.body)
        known = self._known.get(key)
        if known is not None:
            return known
        body = None if self._type is None else decode_body(request.body, self._type)
        command = Command(body, fingerprint(request.method, request.path, body))
        if len(request.body) <= BODY_BYTES_MAX and _never_changes(body):
            self._known[key] = command
            if len(self._known) > COMMANDS_MAX:
                self._known.popitem(last=False)
        return command


def fingerprint(method: str, path: str, body: object) -> bytes:
    """Digest a request so that equivalent spellings have the same digest."""
    digest = blake2b(f"{method} {path}\n".encode(), digest_size=16)
    digest.update(_encode_canonical(body))
    return digest.digest()


def _never_changes(body: object) -> bool:
    """Whether a frozen struct holds nothing that a recipient could mutate."""
    try:
        hash(body)
    except TypeError:
        return False
    return True
