"""The limit on attempts: counted per user, over within a window, in bounded memory."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.authx.attempts import AttemptLimit
from actors.authx.errors import TooManyAttempts


def limit_of(attempts: int = 3, window: float = 60.0, users: int = 100) -> AttemptLimit:
    """Make a limit."""
    return AttemptLimit(attempts_max=attempts, window_seconds=window, users_max=users)


def refused_for_s(limit: AttemptLimit, user: str, now_s: float) -> int | None:
    """Try once; tell for how long the attempt is refused, None where it is allowed."""
    try:
        limit.begin(user, now_s)
    except TooManyAttempts as refusal:
        return refusal.retry_after_s
    return None


def test_attempts_beyond_the_limit_are_refused_until_the_window_ends() -> None:
    """The fourth of three attempts waits for the end of the window that the first began."""
    limit = limit_of()
    assert [refused_for_s(limit, "ada", now) for now in (0, 1, 2)] == [None] * 3
    assert refused_for_s(limit, "ada", 10.5) == 50
    assert refused_for_s(limit, "ada", 59.9) == 1
    assert refused_for_s(limit, "ada", 60) is None


def test_attempts_of_one_user_do_not_count_for_another() -> None:
    """Whoever attacks one account locks nobody else out."""
    limit = limit_of()
    for now in range(10):
        refused_for_s(limit, "ada", now)
    assert refused_for_s(limit, "bob", 10) is None


def test_attempts_that_were_refused_do_not_prolong_the_window() -> None:
    """An attacker who never stops cannot lock the account for good."""
    limit = limit_of(attempts=1)
    allowed = [now for now in range(600) if refused_for_s(limit, "ada", now) is None]
    assert allowed == list(range(0, 600, 60))


def test_attempts_are_forgotten_after_a_success() -> None:
    """Who knows the password begins afresh."""
    limit = limit_of()
    for now in range(3):
        limit.begin("ada", now)
        limit.succeeded("ada")
    assert len(limit) == 0
    assert refused_for_s(limit, "ada", 3) is None


def test_attempts_without_a_verdict_are_taken_back() -> None:
    """A database that was away does not use up anybody's attempts."""
    limit = limit_of(attempts=1)
    for now in range(5):
        limit.begin("ada", now)
        limit.withdraw("ada")
    limit.withdraw("ada")
    limit.withdraw("nobody")
    assert refused_for_s(limit, "ada", 5) is None
    assert refused_for_s(limit, "ada", 6) == 54


def test_attempts_keep_at_most_users_max_windows() -> None:
    """A flood of made-up names costs bounded memory; the oldest window goes first."""
    limit = limit_of(attempts=1, users=10)
    for number in range(1000):
        limit.begin(f"user{number}", number / 1000)
    assert len(limit) == 10
    assert refused_for_s(limit, "user999", 2) is not None
    assert refused_for_s(limit, "user0", 2) is None


def test_attempts_drop_windows_that_have_ended() -> None:
    """Memory is given back as time passes."""
    limit = limit_of()
    for number in range(50):
        limit.begin(f"user{number}", number)
    limit.begin("late", 1000)
    assert len(limit) == 1


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 50)), max_size=60),
    st.integers(1, 4),
)
def test_attempts_allowed_in_a_window_never_exceed_the_limit(
    steps: list[tuple[str, float]], attempts: int
) -> None:
    """However attempts are spread, no window of a user allows more than the limit."""
    limit = limit_of(attempts=attempts, window=30)
    now = 0.0
    windows: dict[str, tuple[float, int]] = {}
    for user, pause in steps:
        now += pause
        started, count = windows.get(user, (now, 0))
        if now >= started + 30:
            started, count = now, 0
        allowed = refused_for_s(limit, user, now) is None
        assert allowed == (count < attempts)
        windows[user] = (started, count + allowed)
