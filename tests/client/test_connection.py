"""What a call promises: one answer or one error, in time, and a command at most once."""

from __future__ import annotations

import anyio
import httpx
import msgspec
import pytest

from holdfast_client import (
    CannotConnect,
    Client,
    DeadlineExceeded,
    Forbidden,
    HoldfastError,
    InvalidArgument,
    InvalidRequest,
    NoAnswer,
    NotFound,
    Problem,
    Refused,
    RetryPolicy,
    ServerBusy,
    TooManyAttempts,
    TooManyRequests,
    Unauthorized,
    UnexpectedAnswer,
    operations,
)
from holdfast_client.requests import OrderBody
from holdfast_client.types import SessionTokens
from tests.client.backends import on_both_backends
from tests.client.servers import ORDER, WORLD, Script, client, problem, silence, tokens

RESET = httpx.ReadError("connection reset")
REFUSED = httpx.ConnectError("connection refused")
PLACE = operations.PLACE_ORDER
HUT = OrderBody("hut")
DEEP = b'{"type": "/problems/x", "new": ' + b"[" * 500_000 + b"]" * 500_000 + b"}"
CHARSET_UNDEFINED = {"Content-Type": "text/html; charset=undefined"}


@on_both_backends()
async def test_call_sends_a_command_again_under_one_key() -> None:
    """Whatever goes wrong, every attempt carries the same key, and one answer comes back."""
    busy = problem(503, "unavailable", retry_after="1")
    script = Script(
        REFUSED, RESET, busy, problem(504, "reply-timeout"), httpx.Response(201, json=ORDER)
    )
    async with client(script) as opened:
        answer = await opened.exchange(PLACE, body=HUT)
    assert answer.value.asset == "hut"
    assert len(script.requests) == 5
    assert len(set(script.headers("Idempotency-Key"))) == 1
    assert script.headers("Idempotency-Key")[0]
    assert {request.content for request in script.requests} == {b'{"asset":"hut"}'}


@on_both_backends()
async def test_call_makes_a_fresh_key_for_each_command() -> None:
    """Two orders are two orders; a key that the caller gives is used as is."""
    script = Script(httpx.Response(201, json=ORDER))
    async with client(script) as opened:
        for key in (None, None, "mine"):
            await opened.exchange(PLACE, body=HUT, key=key)
    first, second, third = script.headers("Idempotency-Key")
    assert first != second
    assert third == "mine"


@on_both_backends()
async def test_call_tells_a_replayed_answer() -> None:
    """A caller that repeats a command later learns that it had already taken effect."""
    headers = {"Idempotency-Replayed": "true", "X-Request-Id": "abc"}
    script = Script(httpx.Response(200, json=ORDER, headers=headers))
    async with client(script) as opened:
        answer = await opened.exchange(PLACE, body=HUT)
    assert (answer.status, answer.replayed, answer.request_id) == (200, True, "abc")


@on_both_backends()
async def test_call_waits_as_long_as_it_is_asked_to() -> None:
    """Retry-After is honoured, with a little jitter so that clients do not all return at once."""
    script = Script(problem(503, "overloaded", retry_after="7"), httpx.Response(200, json=WORLD))
    async with client(script) as opened:
        assert (await opened.world()).name == "world"
    waited = script.times[1] - script.times[0]
    assert 7 <= waited <= 7.2


@on_both_backends()
async def test_call_gives_up_when_the_wait_would_be_too_long() -> None:
    """A wait beyond the deadline is not started: the refusal is raised at once."""
    script = Script(problem(503, "overloaded", retry_after="60"))
    async with client(script, timeout_s=30) as opened:
        with pytest.raises(ServerBusy) as caught:
            await opened.world()
    assert caught.value.retry_after_s == 60
    assert len(script.requests) == 1


@on_both_backends()
async def test_call_tries_no_more_often_than_it_may() -> None:
    """The failure of the last attempt is raised by the call."""
    script = Script(REFUSED)
    policy = RetryPolicy(attempts_max=3, backoff_s=0.01)
    async with client(script, retries=policy) as opened:
        with pytest.raises(CannotConnect, match="no server answers at http://server"):
            await opened.world()
    assert len(script.requests) == 3


@on_both_backends()
async def test_call_ends_in_time_against_a_silent_server() -> None:
    """Each attempt has a deadline, and so has the whole call, to the second."""
    script = Script(silence)
    async with client(script, timeout_s=12, attempt_timeout_s=5) as opened:
        began = anyio.current_time()
        with pytest.raises(DeadlineExceeded, match="GET /v1/world: no answer within"):
            await opened.world()
        assert 10 <= anyio.current_time() - began <= 12.001
    assert len(script.requests) == 3


@on_both_backends()
async def test_call_can_be_cancelled() -> None:
    """A cancelled call ends at once, and the client remains usable."""
    script = Script(silence, httpx.Response(200, json=WORLD))
    async with client(script) as opened:
        with anyio.move_on_after(1) as scope:
            await opened.world()
        assert scope.cancelled_caught
        assert (await opened.world()).tick == 1


@pytest.mark.parametrize("failure", [RESET, problem(503, "unavailable"), httpx.ReadTimeout("")])
@on_both_backends()
async def test_call_does_not_repeat_what_may_take_effect_twice(
    failure: httpx.Response | Exception,
) -> None:
    """A login whose outcome is unknown is not retried automatically."""
    script = Script(failure, httpx.Response(201, json=tokens(1)))
    async with client(script) as opened:
        with pytest.raises((NoAnswer, ServerBusy)):
            await opened.log_in("ann", "password")
    assert len(script.requests) == 1


@on_both_backends()
async def test_call_repeats_what_surely_had_no_effect() -> None:
    """A login that could not connect, or was turned away before it was processed, is retried."""
    script = Script(REFUSED, problem(503, "overloaded"), httpx.Response(201, json=tokens(1)))
    async with client(script) as opened:
        assert (await opened.log_in("ann", "password")).account_id == "account"
    assert len(script.requests) == 3


@pytest.mark.parametrize(
    ("status", "slug", "class_"),
    [
        (400, "malformed-json", Problem),
        (401, "invalid-credentials", Unauthorized),
        (403, "forbidden", Forbidden),
        (404, "unknown-asset", NotFound),
        (409, "insufficient-resources", Refused),
        (422, "invalid-request", InvalidRequest),
        (429, "too-many-attempts", TooManyAttempts),
        (429, "too-many-streams", TooManyRequests),
        (500, "internal-error", Problem),
        (503, "ruleset-mismatch", ServerBusy),
    ],
)
@on_both_backends()
async def test_call_raises_the_problem_of_its_status(
    status: int, slug: str, class_: type[Problem]
) -> None:
    """Each refusal raises its own exception class, with the server's details."""
    script = Script(problem(status, slug, missing={"wood": 3}))
    async with client(script) as opened:
        with pytest.raises(Problem) as caught:
            await opened.log_in("ann", "password")
    refusal = caught.value
    assert type(refusal) is class_
    assert (refusal.status, refusal.slug, refusal.detail) == (status, slug, "no")
    assert str(refusal) == f"{slug}: no"
    assert refusal.members == {"missing": {"wood": 3}}
    assert refusal.missing == {"wood": 3}


@on_both_backends()
async def test_rate_limit_and_attempts_are_told_apart() -> None:
    """A rate limit is waited out and retried, too many attempts raised; both say how long."""
    limited = [problem(429, "too-many-requests", retry_after="1") for _ in range(3)]
    script = Script(*limited, httpx.Response(201, json=tokens(1)))
    async with client(script) as opened:
        assert (await opened.log_in("ann", "password")).account_id == "account"
    assert len(script.requests) == 4
    for slug, class_ in (
        ("too-many-attempts", TooManyAttempts),
        ("too-many-requests", TooManyRequests),
    ):
        script = Script(problem(429, slug, retry_after="7"))
        async with client(script, retries=RetryPolicy(attempts_max=1)) as opened:
            with pytest.raises(class_) as caught:
                await opened.log_in("ann", "password")
        assert caught.value.retry_after_s == 7
        assert len(script.requests) == 1


@pytest.mark.parametrize("status", [429, 503])
@on_both_backends()
async def test_proxy_that_is_asked_too_often_is_waited_for(status: int) -> None:
    """A proxy's own page, not a problem document, can ask for a wait too."""
    page = httpx.Response(status, html="<h1>Later</h1>", headers={"Retry-After": "7"})
    script = Script(page, page, httpx.Response(200, json=WORLD))
    async with client(script) as opened:
        began = anyio.current_time()
        assert (await opened.world()).name == "world"
        assert 14 <= anyio.current_time() - began <= 17
    script = Script(page)
    async with client(script, retries=RetryPolicy(attempts_max=1)) as opened:
        with pytest.raises(UnexpectedAnswer) as caught:
            await opened.world()
    assert (caught.value.status, caught.value.retry_after_s) == (status, 7)


@on_both_backends()
async def test_call_names_the_fields_that_are_wrong() -> None:
    """An invalid request reports each wrong field and what is wrong with it."""
    errors = [{"field": "username", "message": "is too short"}]
    script = Script(problem(422, "invalid-request", errors=errors))
    async with client(script) as opened:
        with pytest.raises(InvalidRequest) as caught:
            await opened.register("x", "password")
    assert caught.value.errors == (("username", "is too short"),)
    assert str(caught.value) == "invalid-request: no (username: is too short)"
    assert caught.value.missing == {}


@pytest.mark.parametrize(
    ("errors", "text"),
    [
        ([], "invalid-request: no"),
        ([{"message": "more than 32 parameters"}], "invalid-request: no (more than 32 parameters)"),
        (
            [{"field": "changes.a\nb", "message": "too much"}, {"field": "x", "message": "y"}],
            "invalid-request: no (changes.a b: too much)",
        ),
    ],
)
def test_invalid_request_tells_of_the_first_fault_in_one_line(
    errors: list[dict[str, str]], text: str
) -> None:
    """The text says which field is wrong and why, whatever its name."""
    refusal = InvalidRequest("invalid-request", status=422, detail="no", members={"errors": errors})
    assert str(refusal) == text


@pytest.mark.parametrize(
    "members", [{"errors": {"name": ["is wrong"]}}, {"errors": [{"field": 1}]}, {"missing": ["x"]}]
)
@on_both_backends()
async def test_problem_of_another_program_is_told(members: dict[str, object]) -> None:
    """A gateway's refusal, with the same members in another shape, still gives a text."""
    body = {"type": "https://gateway/validation", "detail": "no,\nin two lines"}
    script = Script(httpx.Response(422, json=body | members))
    async with client(script) as opened:
        with pytest.raises(InvalidRequest) as caught:
            await opened.register("x", "password")
    assert str(caught.value) == "validation: no, in two lines"
    assert (caught.value.errors, caught.value.missing) == ((), {})
    assert caught.value.members == members


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.Response(200, json={"name": 5}), "answered in an unexpected shape: .*name"),
        (httpx.Response(200, text="hello"), "answered in an unexpected shape"),
        (httpx.Response(204), "was answered 204:$"),
        (httpx.Response(500, text="oops\n  all\nover"), "was answered 500: oops all over$"),
        (httpx.Response(404, json=["not", "a", "problem"]), "was answered 404"),
        (httpx.Response(404, json={"type": 5}), "was answered 404"),
        (httpx.Response(302, json={"type": "/x"}, headers={"Location": "/y"}), "answered 302"),
        (httpx.Response(200, content=b'{"name": "\xfc"}'), "answered in an unexpected shape"),
        (httpx.Response(200, content=DEEP), "answered in an unexpected shape"),
        (httpx.Response(403, content=b'{"type": "/problems/x", "by": "\xfc"}'), "was answered 403"),
        (httpx.Response(403, content=DEEP), "was answered 403"),
        (httpx.Response(403, content=b"no", headers=CHARSET_UNDEFINED), "was answered 403: no$"),
    ],
)
@on_both_backends()
async def test_call_refuses_what_is_no_answer(answer: httpx.Response, told: str) -> None:
    """An answer outside the API's contract is reported in one line with its beginning."""
    async with client(Script(answer)) as opened:
        with pytest.raises(UnexpectedAnswer, match=told) as caught:
            await opened.world()
    assert caught.value.status == answer.status_code
    assert "\n" not in str(caught.value)


@on_both_backends()
async def test_call_waits_out_a_proxy_without_a_server() -> None:
    """While a server restarts behind its proxy, reads are retried."""
    script = Script(
        httpx.Response(502, text="bad gateway"),
        httpx.Response(502, content=b'{"detail": "nicht verf\xfcgbar"}'),
        httpx.Response(502, content=b"bad gateway", headers=CHARSET_UNDEFINED),
        httpx.Response(200, json=WORLD),
    )
    async with client(script) as opened:
        assert (await opened.world()).name == "world"


@on_both_backends()
async def test_call_takes_any_text_into_a_path() -> None:
    """Names are escaped in paths: a slash in one does not lead elsewhere."""
    script = Script(problem(404, "unknown-asset"))
    async with client(script) as opened:
        with pytest.raises(NotFound):
            await opened.exchange(operations.QUOTE, "../../hut:1?x#y")
    assert script.requests[0].url.raw_path == b"/v1/inventory/quotes/..%2F..%2Fhut%3A1%3Fx%23y"


SURROGATE = "\ud800"


@pytest.mark.parametrize("key", ["", "ключ", "a\nb", "a b", "\x7f", SURROGATE, "x" * 256])
@on_both_backends()
async def test_call_refuses_a_key_that_no_header_can_carry(key: str) -> None:
    """A key that the server would not accept is refused at once, and not replaced by another."""
    script = Script(httpx.Response(201, json=ORDER))
    async with client(script) as opened:
        with pytest.raises(InvalidArgument, match="1 to 255 visible ASCII") as caught:
            await opened.exchange(PLACE, body=HUT, key=key)
        assert isinstance(caught.value, HoldfastError)
        assert isinstance(caught.value, ValueError)
        assert (await opened.exchange(PLACE, body=HUT, key="~" * 255)).value.asset == "hut"
    assert len(script.requests) == 1


@on_both_backends()
async def test_call_refuses_what_is_no_text() -> None:
    """A lone surrogate in a body, path, query or token is refused at once; nothing is sent."""
    script = Script(problem(404, "unknown-asset"))
    usual = msgspec.convert(tokens(1), SessionTokens)
    broken = msgspec.structs.replace(usual, access_token=f"v4.{SURROGATE}")
    async with client(script) as opened:
        session = opened.resume(usual)
        for call in (
            lambda: opened.register(SURROGATE, "correct horse"),
            lambda: opened.log_in("ann", f"correct {SURROGATE}"),
            lambda: session.order(SURROGATE),
            lambda: session.send("bob", {SURROGATE: 1}),
            lambda: session.quote(SURROGATE),
            lambda: session.admin.accounts(SURROGATE).all(),
            lambda: session.quote("x" * 70_000),
            lambda: opened.resume(broken).inventory(),
            lambda: opened.resume(broken).events().__aenter__(),
        ):
            began = anyio.current_time()
            with pytest.raises(InvalidArgument) as caught:
                await call()
            assert SURROGATE not in str(caught.value)
            assert anyio.current_time() == began
    assert script.requests == []


@on_both_backends()
async def test_call_refuses_what_would_be_another_address() -> None:
    """A name that a path reads as a folder is refused at once: it would address something else."""
    script = Script(problem(404, "unknown-asset"))
    async with client(script) as opened:
        session = opened.resume(msgspec.convert(tokens(1), SessionTokens))
        for name in ("", ".", ".."):
            with pytest.raises(InvalidArgument, match="cannot build a URL"):
                await session.quote(name)
        with pytest.raises(NotFound):
            await session.quote("...")
    assert [each.url.path for each in script.requests] == ["/v1/inventory/quotes/..."]


@on_both_backends()
async def test_call_refuses_an_empty_token() -> None:
    """No server issues an empty token, and no header could carry one."""
    script = Script(problem(404, "unknown-asset"))
    empty = msgspec.structs.replace(msgspec.convert(tokens(1), SessionTokens), access_token="")
    async with client(script) as opened:
        for call in (
            lambda: opened.resume(empty).inventory(),
            lambda: opened.resume(empty).events().__aenter__(),
        ):
            with pytest.raises(InvalidArgument, match="access token"):
                await call()
    assert script.requests == []


@pytest.mark.parametrize(
    "url", ["nonsense", "ftp://server", "http://", "http://[::1", "http://127.0.0..1"]
)
def test_client_refuses_what_is_no_address(url: str) -> None:
    """An invalid address is refused at once."""
    with pytest.raises(ValueError, match="is not a URL"):
        Client(url)
