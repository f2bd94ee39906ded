"""Access tokens: PASETO v4.local, made in one place and verified in one place.

The library leaves much open (it accepts a token without expiry and several spellings of one token,
ignores ``kid``, and takes the process's own time), so only the cipher is left to it:
`AccessTokens.verify` demands the canonical spelling, a key of ours, and every claim, and answers
anything else with the one `InvalidToken`.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias, cast

import msgspec
import pyseto
from uuid_utils import uuid7

from actors.authx import base64url
from actors.authx.errors import InvalidToken
from actors.authx.lru import Lru

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.authx.keys import KeyRing
    from actors.authx.settings import AuthxSettings

_HEADER = "v4.local."
_TOKEN = re.compile(r"v4\.local\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)", re.ASCII)
_TOKEN_LENGTH_MAX = 4096
"""Longer than a token with the longest issuer, which it names twice, if JSON escapes all of it."""
_PAYLOAD_BYTES_MIN = 32 + 1 + 32  # nonce, at least something, tag

Id: TypeAlias = Annotated[
    str, msgspec.Meta(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
]
Instant: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]


class Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a token: all of it, and nothing else. Names as in the PASETO registry."""

    iss: str
    aud: str
    sub: Id
    sid: Id
    iat: Instant
    nbf: Instant
    exp: Instant
    jti: Id
    role: Literal["player", "admin"]


class AccessTokens:
    """Issues and verifies the access tokens of one server.

    Deciphered tokens are cached by their whole text, bounded; their times are still checked at
    every use.
    """

    def __init__(
        self, keyring: KeyRing, settings: AuthxSettings, *, wall_clock: Callable[[], datetime]
    ) -> None:
        self._keyring = keyring
        self._settings = settings
        self._wall_clock = wall_clock
        self._lifetime = timedelta(seconds=settings.token_seconds)
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(Claims, strict=True)
        self._known: Lru[str, Claims] = Lru(settings.token_cache_max)

    def issue(
        self, *, account_id: str, session_id: str, role: str, ends_at: datetime | None = None
    ) -> str:
        """Make a token that is valid from now, in whole seconds, for ``token_seconds``.

        If ``ends_at`` is given, it is not valid beyond that.
        """
        now = self._wall_clock().replace(microsecond=0)
        expires = now + self._lifetime
        if ends_at is not None:
            expires = min(expires, ends_at.replace(microsecond=0))
        claims = {
            "iss": self._settings.issuer,
            "aud": self._settings.audience,
            "sub": account_id,
            "sid": session_id,
            "iat": now,
            "nbf": now,
            "exp": expires,
            "jti": str(uuid7()),
            "role": role,
        }
        key = self._keyring.first
        return pyseto.encode(key.local, self._encoder.encode(claims), footer=key.footer).decode()

    def verify(self, text: str) -> Claims:
        """Read a token that this server would accept now, apart from its session.

        Raises:
            InvalidToken: every other text, for whatever reason.
        """
        claims = self._known.get(text)
        if claims is None:
            claims = self._decipher(text)
            self._known.put(text, claims)
        now = self._wall_clock()
        if not (claims.iat <= now and claims.nbf <= now < claims.exp):
            raise InvalidToken
        return claims

    def _decipher(self, text: str) -> Claims:
        parts = _TOKEN.fullmatch(text) if len(text) <= _TOKEN_LENGTH_MAX else None
        if parts is None:
            raise InvalidToken
        key = self._keyring.find(parts[2])
        payload = base64url.decode(parts[1])
        if key is None or payload is None or len(payload) < _PAYLOAD_BYTES_MIN:
            raise InvalidToken
        try:
            plain = cast("bytes", pyseto.decode(key.local, text).payload)
            claims = self._decoder.decode(plain)
        except (pyseto.PysetoError, msgspec.MsgspecError, ValueError):
            raise InvalidToken from None
        if claims.iss != self._settings.issuer or claims.aud != self._settings.audience:
            raise InvalidToken
        return claims
