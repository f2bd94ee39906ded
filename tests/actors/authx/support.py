"""Helpers that several tests of Authx share: a settable clock, cheap hashing, a counter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import argon2

from actors.authx.passwords import Passwords
from actors.authx.settings import AuthxSettings

CHEAP = AuthxSettings(argon2_time_cost=1, argon2_memory_kib=8, argon2_parallelism=1)
"""Settings under which a hash takes well under a millisecond."""


class WallClock:
    """A wall clock that stands still until it is set."""

    def __init__(self, now: datetime = datetime(2030, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass, or go back."""
        self.now += timedelta(seconds=seconds)


class CountingEngine:
    """A hash engine that counts its operations and records the parameters of each."""

    def __init__(self, settings: AuthxSettings = CHEAP) -> None:
        self._engine = argon2.PasswordHasher(
            settings.argon2_time_cost, settings.argon2_memory_kib, settings.argon2_parallelism
        )
        self.operations: list[str] = []

    def hash(self, password: str | bytes) -> str:
        """Hash and count."""
        hashed = self._engine.hash(password)
        self.operations.append(f"hash {_parameters(hashed)}")
        return hashed

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # noqa: A002 - argon2's
        """Verify and count."""
        self.operations.append(f"verify {_parameters(str(hash))}")
        return self._engine.verify(hash, password)

    def check_needs_rehash(self, hash: str | bytes) -> bool:  # noqa: A002 - argon2's own name
        """Return what argon2 returns."""
        return self._engine.check_needs_rehash(hash)


def counting_passwords(settings: AuthxSettings = CHEAP) -> tuple[Passwords, CountingEngine]:
    """Make passwords whose hash operations are counted."""
    engine = CountingEngine(settings)
    return Passwords(settings, engine=engine), engine


def _parameters(hashed: str) -> str:
    return hashed.rsplit("$", 2)[0]
