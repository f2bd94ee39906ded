"""The limit on attempts: growing delays, whom they apply to, and the memory they take."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.authx.attempts import FAILURES_FEW, AttemptLimit
from actors.authx.errors import TooManyAttempts
from tests.actors.authx.support import CHEAP

FREE = 3
DELAY_MAX = 60
WINDOW = 600
HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"


def limit_of(**changes: int) -> AttemptLimit:
    """Make a limit; values not given are out of reach."""
    usual = {
        "attempts_per_user": FREE,
        "attempts_per_user_anywhere": 1_000_000,
        "attempts_per_address": 1_000_000,
        "attempt_delay_max_seconds": DELAY_MAX,
        "attempt_window_seconds": WINDOW,
        "attempt_keys_max": 100,
    }
    return AttemptLimit(replace(CHEAP, **{**usual, **changes}))  # type: ignore[arg-type]


def refused_for_s(limit: AttemptLimit, user: str, address: str, now_s: float) -> int | None:
    """Try and fail; return how long the attempt is refused for, or None if it is heard."""
    try:
        limit.begin(user, address, now_s)
    except TooManyAttempts as refusal:
        return refusal.retry_after_s
    return None


def heard(limit: AttemptLimit, user: str, address: str, until_s: int) -> list[int]:
    """Try in every second, failing each time; return the seconds in which it was heard."""
    return [now for now in range(until_s) if refused_for_s(limit, user, address, now) is None]


def test_delay_doubles_with_each_failure_up_to_the_longest() -> None:
    """After the free attempts: 1, 2, 4, … seconds after the last one, up to a cap."""
    times = heard(limit_of(), "ada", HOME, WINDOW)
    assert times[:FREE] == [0, 1, 2]
    waits = [after - before for before, after in pairwise(times[FREE - 1 :])]
    assert waits[:6] == [1, 2, 4, 8, 16, 32]
    assert set(waits[6:]) == {DELAY_MAX}


def test_longest_delay_is_told_as_such_at_any_moment() -> None:
    """Times since the start are not round; the reported delay is not a second longer for that."""
    limit = limit_of(attempts_per_user=1)
    now_s = 147.10199277177125
    for _ in range(13):
        now_s += refused_for_s(limit, "ada", HOME, now_s) or 0
    assert refused_for_s(limit, "ada", HOME, now_s) == DELAY_MAX


def test_refusal_says_when_the_next_attempt_is_heard() -> None:
    """Retry-After is in whole seconds, at least one, and enough."""
    limit = limit_of(attempts_per_user=1)
    assert refused_for_s(limit, "ada", HOME, 0) is None
    assert refused_for_s(limit, "ada", HOME, 0.9) == 1
    assert refused_for_s(limit, "ada", HOME, 1.9) is None
    assert refused_for_s(limit, "ada", HOME, 1.9) == 2
    assert refused_for_s(limit, "ada", HOME, 2.8) == 2
    assert refused_for_s(limit, "ada", HOME, 3.9) is None
    assert refused_for_s(limit, "ada", HOME, 4) == 4


def test_failures_are_forgotten_with_their_window() -> None:
    """However much an attacker tries, a window after the first failure everything starts afresh."""
    limit = limit_of(attempt_window_seconds=10, attempt_delay_max_seconds=300)
    assert heard(limit, "ada", HOME, 10) == [0, 1, 2, 3, 5, 9]
    assert refused_for_s(limit, "ada", HOME, 9.5) == 1
    assert refused_for_s(limit, "ada", HOME, 10) is None
    assert len(limit) == 3


def test_attempts_on_one_user_do_not_count_for_another() -> None:
    """An attack on one account delays nobody else's, not even from the attacker's address."""
    limit = limit_of()
    heard(limit, "ada", HOME, 100)
    assert refused_for_s(limit, "bob", HOME, 100) is None


def test_victim_gets_in_from_elsewhere_while_an_attack_goes_on() -> None:
    """An address that has not failed is heard at once, however hard others hammer the user."""
    limit = limit_of(attempts_per_user_anywhere=5)
    for now in range(300):
        refused_for_s(limit, "ada", HOME, now)
        refused_for_s(limit, "ada", f"203.0.113.{now % 250}", now)
    for now in range(300, 310):
        refused_for_s(limit, "ada", HOME, now)
        limit.begin("ada", ELSEWHERE, now)
        limit.succeeded("ada", ELSEWHERE)


def test_victim_who_mistypes_during_an_attack_waits_for_himself_alone() -> None:
    """After a failure the victim waits out the attack's delay from then on, and only once."""
    limit = limit_of(attempts_per_user_anywhere=5)
    for number in range(100):
        limit.begin("ada", f"203.0.113.{number}", 0)
    assert refused_for_s(limit, "ada", ELSEWHERE, 1) is None
    for now in range(1, 1 + DELAY_MAX):
        refused_for_s(limit, "ada", HOME, now)
        assert refused_for_s(limit, "ada", ELSEWHERE, now) == DELAY_MAX + 1 - now
    limit.begin("ada", ELSEWHERE, DELAY_MAX + 1)
    limit.succeeded("ada", ELSEWHERE)


def test_many_addresses_that_guess_one_user_get_one_guess_each_and_wait() -> None:
    """Guessing one password from many places slows each of them down after its first try."""
    limit = limit_of(attempts_per_user_anywhere=5)
    addresses = [f"203.0.113.{number}" for number in range(20)]
    allowed = sum(
        refused_for_s(limit, "ada", address, now) is None
        for now in range(DELAY_MAX)
        for address in addresses
    )
    assert allowed <= len(addresses) + 2 * 5


def test_address_that_fails_at_many_users_waits_whoever_it_tries() -> None:
    """One password tried on everybody is slowed down, and only where it comes from."""
    limit = limit_of(attempts_per_address=5)
    times = [now for now in range(40) if refused_for_s(limit, f"user{now}", HOME, now) is None]
    assert times == [0, 1, 2, 3, 4, 5, 7, 11, 19, 35]
    assert refused_for_s(limit, "user0", ELSEWHERE, 40) is None


def test_own_account_is_no_way_to_go_on_guessing() -> None:
    """A success clears the failures for that user; the address's failures at others still count."""
    limit = limit_of(attempts_per_address=5)
    for now in range(5):
        limit.begin(f"user{now}", HOME, now)
    limit.begin("mallory", HOME, 5)
    limit.succeeded("mallory", HOME)
    assert refused_for_s(limit, "user9", HOME, 5) == 1


@pytest.mark.parametrize("second_succeeds", [True, False])
def test_logins_at_the_same_time_forget_no_failure_at_another_user(
    second_succeeds: bool,
) -> None:
    """The first success forgets both; what becomes of the second is no reason to forget more."""
    limit = limit_of(attempts_per_address=FREE)
    limit.begin("ada", HOME, 0)
    limit.begin("mallory", HOME, 0)
    limit.begin("mallory", HOME, 0)
    limit.succeeded("mallory", HOME)
    if second_succeeds:
        limit.succeeded("mallory", HOME)
    else:
        limit.withdraw("mallory", HOME, 0)
    waits = [refused_for_s(limit, f"user{number}", HOME, 0) for number in range(FREE)]
    assert waits == [None, None, 1]


def test_success_forgets_the_mistakes_before_it() -> None:
    """A user who mistypes and then gets in leaves nothing behind, in any of the counts."""
    limit = limit_of()
    for now in range(0, 30, 3):
        limit.begin("ada", HOME, now)
        limit.begin("ada", HOME, now + 1)
        limit.begin("ada", HOME, now + 2)
        limit.succeeded("ada", HOME)
        assert len(limit) == 0


def test_unknown_address_counts_with_the_user_alone() -> None:
    """If no limit per address applies, a proxy's players do not wait for each other."""
    limit = limit_of(attempts_per_address=1)
    for number in range(50):
        assert refused_for_s(limit, f"user{number}", "", 0) is None
    assert heard(limit, "ada", "", 5) == [0, 1, 2, 3]


def test_attempts_without_a_verdict_are_taken_back() -> None:
    """A database outage does not use up anybody's attempts."""
    limit = limit_of(attempts_per_user=1, attempts_per_address=1)
    for now in range(5):
        limit.begin("ada", HOME, now)
        limit.withdraw("ada", HOME, now)
    limit.withdraw("ada", HOME, 4)
    limit.withdraw("nobody", ELSEWHERE, 4)
    assert len(limit) == 0
    assert refused_for_s(limit, "ada", HOME, 5) is None
    assert refused_for_s(limit, "ada", HOME, 5) == 1


def test_attempt_that_was_taken_back_prolongs_nothing() -> None:
    """The delay runs from the last attempt that counts, past the free ones as before."""
    limit = limit_of(attempts_per_user=1, attempts_per_address=1)
    assert heard(limit, "ada", HOME, 4) == [0, 1, 3]
    assert refused_for_s(limit, "ada", HOME, 3.0) == 4
    for now in (7.0, 7.5):
        limit.begin("ada", HOME, now)
        assert refused_for_s(limit, "ada", HOME, now) == 8
        limit.withdraw("ada", HOME, now)
    assert refused_for_s(limit, "bob", HOME, 7.9) is None


def test_attempt_that_is_taken_back_late_leaves_the_delay_of_a_later_one() -> None:
    """A later attempt that counts delays as long as ever."""
    limit = limit_of(attempts_per_user=2)
    limit.begin("ada", HOME, 0.0)
    limit.begin("ada", HOME, 0.5)
    limit.begin("ada", HOME, 1.5)
    limit.withdraw("ada", HOME, 0.5)
    assert refused_for_s(limit, "ada", HOME, 1.6) == 1
    assert refused_for_s(limit, "ada", HOME, 2.4) == 1
    assert refused_for_s(limit, "ada", HOME, 2.5) is None


def test_registration_that_was_taken_back_prolongs_nothing() -> None:
    """As with attempts, a caller that was not heard out may retry at once."""
    limit = limit_of(registrations_per_address=1)
    for now in (0.0, 1.0, 3.0):
        limit.begin_registration(HOME, now)
    for now in (7.0, 7.5):
        limit.begin_registration(HOME, now)
        limit.withdraw_registration(HOME, now)
    limit.begin_registration(HOME, 7.6)
    with pytest.raises(TooManyAttempts) as refusal:
        limit.begin_registration(HOME, 7.7)
    assert refusal.value.retry_after_s == 8


def test_registrations_are_counted_anew_when_their_window_has_ended() -> None:
    """Each window allows as many as the first, and the next one has to wait."""
    limit = limit_of(registrations_per_address=2)
    for begun in (0.0, float(WINDOW), 2.0 * WINDOW):
        limit.begin_registration(HOME, begun)
        limit.begin_registration(HOME, begun)
        with pytest.raises(TooManyAttempts):
            limit.begin_registration(HOME, begun)
    limit.begin_registration(ELSEWHERE, 3.0 * WINDOW)
    assert len(limit) == 1


def test_attempts_keep_a_bounded_number_of_windows() -> None:
    """A flood of made-up names and addresses costs bounded memory; the oldest go first."""
    limit = limit_of(attempts_per_user=1, attempt_keys_max=10)
    for number in range(1000):
        limit.begin(f"user{number}", f"address{number}", number / 1000)
    assert len(limit) == 30
    assert refused_for_s(limit, "user999", "address999", 1) is not None
    assert refused_for_s(limit, "user0", "address0", 1) is None


def test_attempts_drop_windows_that_have_ended() -> None:
    """Memory is given back as time passes."""
    limit = limit_of()
    for number in range(30):
        limit.begin(f"user{number}", HOME, number)
    limit.begin("late", ELSEWHERE, WINDOW + 100)
    assert len(limit) == 3


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("ada", "bob")),
        st.sampled_from((HOME, ELSEWHERE, "")),
        st.sampled_from(("fail", "fail", "fail", "succeed", "withdraw")),
        st.floats(0, 40),
    ),
    max_size=60,
)


@settings(deadline=None)
@given(STEPS, st.integers(1, 4))
def test_nobody_waits_longer_than_the_longest_delay_or_in_vain(
    steps: list[tuple[str, str, str, float]], free: int
) -> None:
    """Whatever happened before, a wait is bounded and sufficient, and a clean address has none."""
    limit = limit_of(
        attempts_per_user=free, attempts_per_user_anywhere=free, attempts_per_address=1_000
    )
    failed: set[tuple[str, str]] = set()
    now = 0.0
    for user, address, outcome, pause in steps:
        now += pause
        wait_s = refused_for_s(limit, user, address, now)
        if wait_s is not None:
            assert (user, address) in failed
            assert 0 < wait_s <= DELAY_MAX
            now += wait_s
            assert refused_for_s(limit, user, address, now) is None
        failed.add((user, address))
        if outcome == "succeed":
            limit.succeeded(user, address)
        elif outcome == "withdraw":
            limit.withdraw(user, address, now)


def test_operator_goes_first_from_where_few_have_failed() -> None:
    """Three failures there, for any names, end that; a correct password takes back its own."""
    limit = limit_of()
    for number in range(FAILURES_FEW):
        assert limit.may_go_first("root", HOME, 0)
        limit.begin(f"user{number}", HOME, 0)
    assert not limit.may_go_first("root", HOME, 0)
    assert limit.may_go_first("root", ELSEWHERE, 0)
    limit.succeeded("user0", HOME)
    assert limit.may_go_first("root", HOME, 0)
    limit.begin("user0", HOME, 1)
    assert not limit.may_go_first("root", HOME, 1)
    assert limit.may_go_first("root", HOME, WINDOW)


def test_operator_who_has_to_wait_goes_first_no_more() -> None:
    """An attempt that would be refused takes no place from an operator who would be heard."""
    limit = limit_of(attempts_per_user_anywhere=5)
    for number in range(10):
        limit.begin("root", f"203.0.113.{number}", 0)
    assert not limit.may_go_first("root", "203.0.113.0", 1)
    assert limit.may_go_first("root", ELSEWHERE, 1)
    assert refused_for_s(limit, "root", ELSEWHERE, 1) is None


def test_operator_without_a_limited_address_goes_first_while_he_is_heard() -> None:
    """For exempt addresses, failures are counted by name alone."""
    limit = limit_of()
    for number in range(10):
        limit.begin(f"user{number}", "", 0)
    assert limit.may_go_first("root", "", 0)
    for _ in range(FREE):
        limit.begin("root", "", 0)
    assert not limit.may_go_first("root", "", 0)
