"""Refresh tokens: opaque, random, used once; only their hash is kept.

A token is its session's id, 32 random bytes and a tag under a key of ours. By the tag the server
can tell a token that it once issued from a forged one: reusing an old one ends its session, and
nobody can end a session, or make the database look for one, by inventing tokens.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A genuine refresh token, taken apart; it does not say whether it is still the last one."""

    session_id: str
    digest: bytes


def issue_refresh_token(keyring: KeyRing, session_id: str) -> tuple[str, RefreshToken]:
    """Issue a session's next refresh token: its text for the client, the rest for the database."""
    body = UUID(session_id).bytes + secrets.token_bytes(_SECRET_BYTES)
    text = base64url.encode(body + _tag(keyring.first, body))
    return text, RefreshToken(session_id, sha256(body).digest())


def read_refresh_token(keyring: KeyRing, text: str) -> RefreshToken:
    """Take apart a token that was made with one of these keys.

    Raises:
        InvalidToken: every other text.
    """
    data = base64url.decode(text) if len(text) == _TEXT_LENGTH else None
    if data is None:
        raise InvalidToken
    body, tag = data[:-_TAG_BYTES], data[-_TAG_BYTES:]
    if not any(hmac.compare_digest(tag, _tag(key, body)) for key in keyring.keys):
        raise InvalidToken
    return RefreshToken(str(UUID(bytes=body[:_SESSION_BYTES])), sha256(body).digest())


def _tag(key: TokenKey, body: bytes) -> bytes:
    return blake2b(body, key=key.refresh_secret, digest_size=_TAG_BYTES).digest()
