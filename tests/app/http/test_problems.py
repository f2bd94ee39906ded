"""The map from errors to problems: complete, and silent about what is not for clients."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec
import pytest

from actors.authx import errors as authx
from actors.database import errors as database
from actors.inventory import errors as inventory
from actors.storage import errors as storage
from app.http import errors as http
from app.http.catalogue import PROBLEM_KINDS
from app.http.problems import problem_of
from app.http.types.world import ProblemDetails
from bus import errors as bus

REFUSED = b'Bearer realm="holdfast", error="invalid_token"'
ROWS: list[tuple[Exception, int, str]] = [
    (http.MalformedRequest("x"), 400, "malformed-request"),
    (http.MalformedJson("x"), 400, "malformed-json"),
    (http.IdempotencyKeyRequired("x"), 400, "idempotency-key-required"),
    (http.NoToken(), 401, "invalid-token"),
    (http.Forbidden("x"), 403, "forbidden"),
    (http.PasswordChangeRequired("x"), 403, "password-change-required"),
    (http.NotFound("x"), 404, "not-found"),
    (http.NotFound("x", "unknown-order"), 404, "unknown-order"),
    (http.MethodNotAllowed(("GET",)), 405, "method-not-allowed"),
    (http.BodyTimeout("x"), 408, "request-timeout"),
    (http.PayloadTooLarge("x"), 413, "payload-too-large"),
    (http.TargetTooLong("x"), 414, "target-too-long"),
    (http.UnsupportedMediaType("x"), 415, "unsupported-media-type"),
    (http.InvalidRequest(http.FieldError("f", "m")), 422, "invalid-request"),
    (http.UpgradeRequired("x"), 426, "upgrade-required"),
    (http.TooManyStreams(3), 429, "too-many-streams"),
    (http.TooManyRequests(3), 429, "too-many-requests"),
    (http.HeadersTooLarge("x"), 431, "headers-too-large"),
    (http.NotImplementedByServer("x"), 501, "not-implemented"),
    (http.TooManyConnections("x"), 503, "overloaded"),
    (http.TooManyInHand(), 503, "overloaded"),
    (http.TooManyBodyBytes(), 503, "overloaded"),
    (http.ServerStopping("x"), 503, "overloaded"),
    (http.HttpVersionNotSupported("x"), 505, "http-version-not-supported"),
    (bus.Overloaded("x"), 503, "overloaded"),
    (bus.ActorStopped("x"), 503, "actor-stopped"),
    (bus.ReplyTimeout("x"), 504, "reply-timeout"),
    (authx.RegistrationClosed("x"), 403, "registration-closed"),
    (authx.UsernameTaken("x"), 409, "username-taken"),
    (authx.InvalidUsername("x"), 422, "invalid-request"),
    (authx.InvalidPassword("x"), 422, "invalid-request"),
    (authx.InvalidCredentials(account_id="x"), 401, "invalid-credentials"),
    (authx.InvalidToken("x"), 401, "invalid-token"),
    (authx.TooManyAttempts(7), 429, "too-many-attempts"),
    (authx.UnknownAccount("x"), 404, "unknown-account"),
    (authx.UnknownSession("x"), 404, "unknown-session"),
    (inventory.UnknownAsset("x"), 404, "unknown-asset"),
    (inventory.UnknownOrder("x"), 404, "unknown-order"),
    (inventory.UnknownTransfer("x"), 404, "unknown-transfer"),
    (inventory.OrderNotPending("x", "completed"), 409, "order-not-pending"),
    (inventory.InsufficientResources({"metal": 5}), 409, "insufficient-resources"),
    (inventory.PrerequisitesMissing({"lab": 2}), 409, "prerequisites-missing"),
    (inventory.QueueFull("x"), 409, "queue-full"),
    (inventory.MaxLevel("x", 10), 409, "max-level"),
    (inventory.InvalidCount("x"), 422, "invalid-request"),
    (inventory.ForecastTooFar(5000, 2000), 422, "invalid-request"),
    (inventory.InvalidAmount("x"), 422, "invalid-request"),
    (inventory.TransfersDisabled(), 409, "transfers-disabled"),
    (inventory.UnknownReceiver(), 404, "unknown-account"),
    (inventory.TransferToSelf(), 422, "invalid-request"),
    (inventory.TransferLimit({"metal": 5}), 409, "transfer-limit"),
    (inventory.TransferReturned("x"), 409, "transfer-returned"),
    (inventory.TransferReturned("x", replayed=True), 409, "transfer-returned"),
    (inventory.RulesetMismatch(("mine",)), 503, "ruleset-mismatch"),
    (inventory.IdempotencyKeyReused("x"), 422, "idempotency-key-reused"),
    (inventory.AccountGone("x"), 401, "invalid-token"),
    (storage.Conflict("accounts"), 409, "conflict"),
    (database.DatabaseUnavailable("x"), 503, "unavailable"),
    (database.ConnectionLost("x"), 503, "unavailable"),
    (database.DatabaseTimeout("x"), 503, "unavailable"),
    (database.StatementError("x", sqlstate="42601"), 503, "unavailable"),
    (database.TransientError("x", sqlstate="53100"), 503, "unavailable"),
    (storage.Rejected("x"), 500, "internal-error"),
    (ZeroDivisionError("x"), 500, "internal-error"),
    (ExceptionGroup("x", [ValueError("x")]), 500, "internal-error"),
]


@pytest.mark.parametrize(("error", "status", "slug"), ROWS, ids=lambda value: str(value)[:40])
def test_problem_has_its_status_and_slug(error: Exception, status: int, slug: str) -> None:
    """Each error becomes the problem that the contract names, in the form of RFC 9457."""
    response = problem_of(error).response()
    body: dict[str, Any] = msgspec.json.decode(response.body)
    assert response.status == body["status"] == status
    assert body["type"] == f"/problems/{slug}"
    assert body["title"]
    assert body["detail"]
    assert (b"content-type", b"application/problem+json") in response.headers


@pytest.mark.parametrize("module", [authx, bus, http, inventory])
def test_problem_map_knows_every_error(module: Any) -> None:
    """No refusal by an actor, the bus or the front itself is forgotten.

    Only the courier, which carries transfers, ever hears of NoRoom, and only the
    supervisor of ChangedElsewhere.
    """
    listed = {type(error) for error, *_ in ROWS}
    declared = {
        class_
        for _, class_ in inspect.getmembers(module, inspect.isclass)
        if issubclass(class_, Exception) and class_.__module__ == module.__name__
    }
    bases = {base for class_ in declared for base in class_.__mro__[1:]}
    unheard = {http.HttpBindError, http.TlsError, inventory.NoRoom, inventory.ChangedElsewhere}
    assert declared - bases - unheard <= listed


@pytest.mark.parametrize(
    ("error", "header"),
    [
        (bus.Overloaded(), (b"retry-after", b"1")),
        (bus.Overloaded(retry_after_s=4), (b"retry-after", b"4")),
        (bus.ActorStopped(), (b"retry-after", b"1")),
        (database.DatabaseUnavailable(), (b"retry-after", b"1")),
        (authx.TooManyAttempts(7), (b"retry-after", b"7")),
        (authx.TooManyAttempts(0), (b"retry-after", b"1")),
        (authx.InvalidToken(), (b"www-authenticate", REFUSED)),
        (inventory.AccountGone(), (b"www-authenticate", REFUSED)),
        (http.NoToken(), (b"www-authenticate", b'Bearer realm="holdfast"')),
        (authx.InvalidCredentials(), (b"www-authenticate", b'Bearer realm="holdfast"')),
        (http.MethodNotAllowed(("GET", "HEAD")), (b"allow", b"GET, HEAD")),
    ],
    ids=str,
)
def test_problem_carries_the_header_that_tells_what_to_do(
    error: Exception, header: tuple[bytes, bytes]
) -> None:
    """Retry-After, WWW-Authenticate and Allow come with the problems that they belong to."""
    assert header in problem_of(error).response().headers


@pytest.mark.parametrize(
    ("error", "members"),
    [
        (inventory.InsufficientResources({"metal": 5}), {"missing": {"metal": 5}}),
        (inventory.PrerequisitesMissing({"lab": 2}), {"missing": {"lab": 2}}),
        (inventory.OrderNotPending("x", "completed"), {"state": "completed"}),
        (inventory.QueueFull("building"), {"queue": "building"}),
        (inventory.MaxLevel("mine", 10), {"asset": "mine", "level": 10}),
        (inventory.TransferLimit({"metal": 5}), {"left": {"metal": 5}}),
        (inventory.TransferReturned("t"), {"transfer_id": "t"}),
        (
            inventory.TransferToSelf(),
            {"errors": [{"field": "to", "message": str(inventory.TransferToSelf())}]},
        ),
        (inventory.InvalidCount("m"), {"errors": [{"field": "count", "message": "m"}]}),
        (authx.InvalidUsername("m"), {"errors": [{"field": "username", "message": "m"}]}),
        (authx.InvalidPassword("m"), {"errors": [{"field": "password", "message": "m"}]}),
    ],
    ids=str,
)
def test_problem_carries_its_own_members(error: Exception, members: dict[str, Any]) -> None:
    """Anything a client can act on is a member of its own, not text to be parsed."""
    body = msgspec.json.decode(problem_of(error).response().body)
    assert {name: body.get(name) for name in members} == members


@pytest.mark.parametrize("error", [row[0] for row in ROWS], ids=str)
def test_problem_members_are_declared_and_described(error: Exception) -> None:
    """A member beside the usual four is declared in the type and described in the catalogue."""
    body = msgspec.json.decode(problem_of(error).response().body)
    own = body.keys() - {"type", "title", "status", "detail"}
    assert own <= set(ProblemDetails.__struct_fields__)
    description = PROBLEM_KINDS[body["type"].removeprefix("/problems/")].description
    assert [name for name in own if f"`{name}`" not in description] == []


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError("secret"),
        database.DatabaseUnavailable("secret"),
        database.StatementError("secret", sqlstate="42601"),
        bus.Overloaded("secret"),
        bus.ReplyTimeout("secret"),
        authx.InvalidToken("secret"),
        authx.InvalidCredentials(account_id="secret"),
        authx.UsernameTaken("secret"),
        inventory.AccountGone("secret"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_problem_keeps_the_servers_own_words_to_itself(error: Exception) -> None:
    """Messages that may name hosts, statements or reasons never reach a client."""
    assert b"secret" not in problem_of(error).response().body


def test_problem_of_an_unknown_error_asks_for_a_log_line() -> None:
    """An unforeseen error is marked as such, a plain refusal is not."""
    assert problem_of(ZeroDivisionError()).unforeseen
    assert problem_of(database.StatementError("x", sqlstate="42601")).unforeseen
    assert not problem_of(database.DatabaseUnavailable("x")).unforeseen
    assert not problem_of(database.TransientError("x", sqlstate="53100")).unforeseen
    assert not problem_of(authx.InvalidToken()).unforeseen


def test_problem_kinds_are_all_used() -> None:
    """The catalogue contains no problem that is never sent."""
    assert {slug for *_, slug in ROWS} == set(PROBLEM_KINDS)


@pytest.mark.parametrize(("name", "field"), [("", "resources"), ("ore", "resources.ore")])
def test_amount_that_is_refused_is_told_by_its_name(name: str, field: str) -> None:
    """The resource at fault in a transfer is named, or all of them if no single one is."""
    response = problem_of(inventory.InvalidAmount("no", name)).response()
    body: dict[str, Any] = msgspec.json.decode(response.body)
    assert body["errors"] == [{"field": field, "message": "no"}]
