"""Refresh tokens: opaque, random, used once; only their hash is kept.

A token is its session's id, 32 secret bytes and a tag under a key of ours. By the tag the server
can tell a token that it once issued from a forged one: reusing an old one ends its session, and
nobody can end a session, or make the database look for one, by inventing tokens.

The secret bytes are random, unless the client's request has an idempotency key: then they follow
from that key and the token presented. So the same request, sent again because its answer was lost,
is given the same next token, and nothing has to be stored for it.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from typing import TYPE_CHECKING
from uuid import UUID

from actors.authx import base64url
from actors.authx.errors import InvalidToken

if TYPE_CHECKING:
    from actors.authx.keys import KeyRing, TokenKey

_SESSION_BYTES = 16
_SECRET_BYTES = 32
_TAG_BYTES = 18  # makes 66 bytes in all: 88 characters without a spare bit
_TEXT_LENGTH = 88
_NEXT = b"hf-refresh-next"
"""Sets the secret of a next token apart from everything else made with a `TokenKey`."""


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A genuine refresh token, taken apart; it does not say whether it is still the last one."""

    session_id: str
    digest: bytes
    key: TokenKey = field(repr=False, compare=False)
    """The key that it was made with."""


def issue_refresh_token(keyring: KeyRing, session_id: str) -> tuple[str, RefreshToken]:
    """Issue a session's refresh token: its text for the client, the rest for the database."""
    return _made(keyring, session_id, secrets.token_bytes(_SECRET_BYTES))


def issue_next(
    keyring: KeyRing, presented: RefreshToken, idempotency_key: str
) -> tuple[str, RefreshToken]:
    """Issue the token that follows the one presented in a request with this key, not empty.

    It follows from these two and a key of the server's: whoever has only the token presented can
    neither make the next one nor ask for it.
    """
    secret = blake2b(
        presented.digest + idempotency_key.encode(),
        key=presented.key.refresh_secret,
        person=_NEXT,
        digest_size=_SECRET_BYTES,
    ).digest()
    return _made(keyring, presented.session_id, secret)


def read_refresh_token(keyring: KeyRing, text: str) -> RefreshToken:
    """Take apart a token that was made with one of these keys.

    Raises:
        InvalidToken: every other text.
    """
    data = base64url.decode(text) if len(text) == _TEXT_LENGTH else None
    if data is None:
        raise InvalidToken
    body, tag = data[:-_TAG_BYTES], data[-_TAG_BYTES:]
    for key in keyring.keys:
        if hmac.compare_digest(tag, _tag(key, body)):
            session_id = str(UUID(bytes=body[:_SESSION_BYTES]))
            return RefreshToken(session_id, sha256(body).digest(), key)
    raise InvalidToken


def _made(keyring: KeyRing, session_id: str, secret: bytes) -> tuple[str, RefreshToken]:
    key = keyring.first
    body = UUID(session_id).bytes + secret
    text = base64url.encode(body + _tag(key, body))
    return text, RefreshToken(session_id, sha256(body).digest(), key)


def _tag(key: TokenKey, body: bytes) -> bytes:
    return blake2b(body, key=key.refresh_secret, digest_size=_TAG_BYTES).digest()
