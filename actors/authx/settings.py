"""Authx's settings; the application layer fills them from the configuration."""

from __future__ import annotations

from dataclasses import dataclass, fields

PASSWORD_LENGTH_FLOOR = 8
"""No configuration may allow passwords shorter than this many characters."""

PASSWORD_LENGTH_CEILING = 1024
"""A password longer than this many characters is never hashed, whatever is configured."""

_MAY_BE_NONE = frozenset({"hash_queue", "session_days_max"})
_DAY_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class AuthxSettings:
    """Limits and durations of Authx, each with its unit in its name.

    If ``session_days_max`` is 0, a session lives for as long as it is refreshed.

    Raises:
        ValueError: a limit is not positive, or two of them contradict each other; the message
            begins with the field's name.
    """

    issuer: str = "holdfast"
    audience: str = "holdfast"
    token_seconds: int = 900
    refresh_seconds: int = 30 * 24 * 3600
    session_days_max: int = 0

    password_length_min: int = 8
    password_length_max: int = 128
    argon2_time_cost: int = 2
    argon2_memory_kib: int = 19 * 1024
    argon2_parallelism: int = 1
    hash_workers: int = 2
    hash_queue: int = 32
    hash_wait_ms: int = 2_500

    registration_open: bool = True
    registrations_per_address: int = 50
    attempts_per_user: int = 10
    attempts_per_user_anywhere: int = 30
    attempts_per_address: int = 100
    attempt_delay_max_seconds: int = 300
    attempt_window_seconds: int = 3_600
    attempt_keys_max: int = 20_000

    session_cache_max: int = 50_000
    token_cache_max: int = 50_000
    sessions_per_account_max: int = 100
    session_reads_waiting_max: int = 2_000
    account_cache_max: int = 20_000
    account_reads_waiting_max: int = 2_000
    requests_in_flight_max: int = 256

    database_connections: int = 2
    refresh_wait_ms: int = 2_500
    query_timeout_ms: int = 3_000
    reconnect_backoff_ms: int = 50
    reconnect_backoff_max_ms: int = 2_000
    listen_probe_ms: int = 1_000

    housekeeping_seconds: int = 60
    housekeeping_batch: int = 500
    shutdown_ms: int = 1_000

    def __post_init__(self) -> None:
        """Reject settings that no Authx could work with."""
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name in _MAY_BE_NONE else 1
            if value == "" or (type(value) is int and value < least):
                raise ValueError(
                    f"{field.name} must be at least {least} or not empty, not {value!r}"
                )
        if self.password_length_min < PASSWORD_LENGTH_FLOOR:
            raise ValueError(f"password_length_min must be at least {PASSWORD_LENGTH_FLOOR}")
        if not self.password_length_min <= self.password_length_max <= PASSWORD_LENGTH_CEILING:
            raise ValueError(
                "password_length_max must be between password_length_min"
                f" and {PASSWORD_LENGTH_CEILING}"
            )
        if self.argon2_memory_kib < 8 * self.argon2_parallelism:
            raise ValueError("argon2_memory_kib must be at least 8 times argon2_parallelism")
        if self.refresh_seconds < self.token_seconds:
            raise ValueError("refresh_seconds must not be less than token_seconds")

    @property
    def session_seconds_max(self) -> int | None:
        """The longest that a session lives, however often it is refreshed; None for no limit."""
        return self.session_days_max * _DAY_SECONDS or None
