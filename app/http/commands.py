"""The bodies of commands, each read once: players send the same few orders again and again."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from app.http.json import decode_body

if TYPE_CHECKING:
    from app.http.exchange import HttpRequest

COMMANDS_MAX: Final = 1_024
"""How many bodies are remembered for each kind; for one more, the oldest is forgotten."""

BODY_BYTES_MAX: Final = 256
"""How large a body may be that is remembered."""

_encode_canonical = msgspec.json.Encoder(order="deterministic").encode


class Command(NamedTuple):
    """A command as it was sent: what it says, and a digest of it for its idempotency key."""

    body: object
    fingerprint: bytes


class Commands:
    """Reads the bodies of one kind of command, ``type_``."""

    __slots__ = ("_known", "_type")

    def __init__(self, type_: type[object] | None) -> None:
        self._type = type_
        self._known: OrderedDict[tuple[str, bytes], Command] = OrderedDict()

    def read(self, request: HttpRequest) -> Command:
        """Read a request's body; None where this kind has none.

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
    """Digest a request so that the same request in another spelling has the same digest."""
    digest = blake2b(f"{method} {path}\n".encode(), digest_size=16)
    digest.update(_encode_canonical(body))
    return digest.digest()


def _never_changes(body: object) -> bool:
    """Whether a frozen struct holds nothing that could be altered by whom it is given to."""
    try:
        hash(body)
    except TypeError:
        return False
    return True
