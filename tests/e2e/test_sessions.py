"""Accounts and sessions against the whole program, as the contract describes them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.players import PASSWORD, Player, fresh_name, refused

if TYPE_CHECKING:
    from bench.wire import Client, Response

KEY = "0123456789abcdef"


async def refresh(http: Client, token: str, key: str | None = None) -> Response:
    """Use a refresh token."""
    return await http.post(
        "/v1/sessions/refresh",
        json={"refresh_token": token},
        headers={} if key is None else {"Idempotency-Key": key},
    )


async def test_account_is_made_once(http: Client) -> None:
    """Registering answers 201 with the account; then the name is taken in any spelling."""
    name = fresh_name("Ada")
    made = await http.post("/v1/accounts", json={"username": name, "password": PASSWORD})
    assert made.status_code == 201
    assert made.json().keys() == {"account_id", "username", "created_at"}
    assert made.json()["username"] == name
    assert datetime.fromisoformat(made.json()["created_at"]).utcoffset() is not None
    again = await http.post("/v1/accounts", json={"username": name.upper(), "password": PASSWORD})
    refused(again, 409, "username-taken")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"username": "ab", "password": PASSWORD}, "username"),
        ({"username": "a" * 33, "password": PASSWORD}, "username"),
        ({"username": "no spaces", "password": PASSWORD}, "username"),
        ({"username": 5, "password": PASSWORD}, "username"),
        ({"username": "short-of-words", "password": "1234567"}, "password"),
        ({"username": "full-of-words", "password": "x" * 129}, "password"),
        ({"username": "wordless"}, "password"),
        ({"username": "odd-one", "password": PASSWORD, "role": "admin"}, "role"),
    ],
)
async def test_account_is_refused_by_field(http: Client, body: dict[str, Any], field: str) -> None:
    """A bad name or password is reported by field, and never echoed."""
    problem = refused(await http.post("/v1/accounts", json=body), 422, "invalid-request")
    assert field in [error["field"] for error in problem["errors"]]
    assert PASSWORD not in str(problem)


async def test_login_does_not_tell_who_exists(http: Client) -> None:
    """A wrong password and an unknown user get the same answer."""
    player = await Player.join(http)
    wrong = await http.post(
        "/v1/sessions", json={"username": player.name, "password": "wrong password"}
    )
    unknown = await http.post(
        "/v1/sessions", json={"username": fresh_name(), "password": "wrong password"}
    )
    refused(wrong, 401, "invalid-credentials")
    assert wrong.json() == unknown.json()
    assert wrong.headers["www-authenticate"] == 'Bearer realm="holdfast"'


async def test_login_is_refused_after_too_many_attempts(http: Client) -> None:
    """Guessing ends in 429 with Retry-After, even for the right password."""
    player = await Player.join(http)
    for _ in range(10):
        wrong = {"username": player.name, "password": "wrong password"}
        refused(await http.post("/v1/sessions", json=wrong), 401, "invalid-credentials")
    right = {"username": player.name, "password": PASSWORD}
    answer = await http.post("/v1/sessions", json=right)
    refused(answer, 429, "too-many-attempts")
    assert int(answer.headers["retry-after"]) > 0


async def test_session_has_what_the_contract_says(http: Client) -> None:
    """A login returns both tokens and their lifetimes; they give access to the account."""
    player = await Player.join(http)
    tokens = player.tokens
    assert tokens.keys() == {
        "account_id",
        "session_id",
        "access_token",
        "token_type",
        "expires_in",
        "refresh_token",
        "refresh_expires_in",
    }
    assert tokens["token_type"] == "Bearer"
    assert tokens["access_token"].startswith("v4.")
    assert (tokens["expires_in"], tokens["refresh_expires_in"]) == (900, 2_592_000)
    account = await player.get("/v1/accounts/me")
    assert account["account_id"] == player.account_id
    assert (account["username"], account["role"]) == (player.name, "player")


async def test_refresh_rotates_and_a_reuse_ends_the_session(http: Client) -> None:
    """Each refresh token works once; a second use ends the session and all its tokens."""
    player = await Player.join(http)
    first = player.tokens["refresh_token"]
    rotated = await refresh(http, first)
    assert rotated.status_code == 200
    second = rotated.json()
    assert second["session_id"] == player.tokens["session_id"]
    assert second["refresh_token"] != first
    player.tokens = second
    assert (await player.send("GET", "/v1/inventory")).status_code == 200

    refused(await refresh(http, first), 401, "invalid-token")
    refused(await player.send("GET", "/v1/inventory"), 401, "invalid-token")
    refused(await refresh(http, second["refresh_token"]), 401, "invalid-token")


async def test_refresh_whose_answer_was_lost_is_sent_again_with_its_key(http: Client) -> None:
    """The same request gets the same refresh token; without its key it is a reuse."""
    player = await Player.join(http)
    first = player.tokens["refresh_token"]
    lost = (await refresh(http, first, KEY)).json()
    again = await refresh(http, first, KEY)
    assert (again.status_code, again.json()["refresh_token"]) == (200, lost["refresh_token"])
    assert "idempotency-replayed" not in again.headers
    player.tokens = again.json()
    assert (await player.send("GET", "/v1/inventory")).status_code == 200
    for unusable in ("", KEY[:15], "two words, sixteen", "k" * 256):
        problem = refused(await refresh(http, first, unusable), 422, "invalid-request")
        assert problem["errors"][0]["field"] == "Idempotency-Key"
    assert (await player.send("GET", "/v1/inventory")).status_code == 200
    refused(await refresh(http, first), 401, "invalid-token")
    refused(await player.send("GET", "/v1/inventory"), 401, "invalid-token")


async def test_logout_ends_one_session_and_logout_everywhere_all(http: Client) -> None:
    """The list shows every live session; logging out takes effect at once."""
    player = await Player.join(http)
    other = await Player.login(http, player.name)
    third = await Player.login(http, player.name)
    listed = (await third.get("/v1/sessions"))["sessions"]
    assert [s["session_id"] for s in listed if s["current"]] == [third.tokens["session_id"]]
    assert len(listed) == 3

    assert (await other.send("DELETE", "/v1/sessions/current")).status_code == 204
    refused(await other.send("GET", "/v1/inventory"), 401, "invalid-token")
    assert len((await third.get("/v1/sessions"))["sessions"]) == 2

    assert (await third.send("DELETE", "/v1/sessions")).status_code == 204
    for gone in (player, third):
        refused(await gone.send("GET", "/v1/accounts/me"), 401, "invalid-token")
        refused(await refresh(http, gone.tokens["refresh_token"]), 401, "invalid-token")


async def test_one_session_is_ended_from_another(http: Client) -> None:
    """The owner of a lost phone can end its session alone, no stranger's, and none twice."""
    player = await Player.join(http)
    phone = await Player.login(http, player.name)
    stranger = await Player.join(http)
    path = f"/v1/sessions/{phone.tokens['session_id']}"
    refused(await stranger.send("DELETE", path), 404, "unknown-session")
    refused(await http.request("DELETE", path), 401, "invalid-token")
    assert (await phone.send("GET", "/v1/inventory")).status_code == 200

    assert (await player.send("DELETE", path)).status_code == 204
    refused(await phone.send("GET", "/v1/inventory"), 401, "invalid-token")
    refused(await refresh(http, phone.tokens["refresh_token"]), 401, "invalid-token")
    refused(await player.send("DELETE", path), 404, "unknown-session")
    (left,) = (await player.get("/v1/sessions"))["sessions"]
    assert left["session_id"] == player.tokens["session_id"]

    own = f"/v1/sessions/{left['session_id'].upper()}"
    assert (await player.send("DELETE", own)).status_code == 204
    refused(await player.send("GET", "/v1/inventory"), 401, "invalid-token")


async def test_password_change_ends_the_other_sessions(http: Client) -> None:
    """The session that changes it stays, the others end, and the old password is refused."""
    player = await Player.join(http)
    other = await Player.login(http, player.name)
    path, new = "/v1/accounts/me/password", "another fine password"

    wrong = {"current_password": "wrong password", "new_password": new}
    refused(await player.send("PUT", path, wrong), 401, "invalid-credentials")
    short = {"current_password": PASSWORD, "new_password": "short"}
    problem = refused(await player.send("PUT", path, short), 422, "invalid-request")
    assert problem["errors"][0]["field"] == "new_password"

    right = {"current_password": PASSWORD, "new_password": new}
    assert (await player.send("PUT", path, right)).status_code == 204
    assert (await player.send("GET", "/v1/accounts/me")).status_code == 200
    refused(await other.send("GET", "/v1/accounts/me"), 401, "invalid-token")
    old = await http.post("/v1/sessions", json={"username": player.name, "password": PASSWORD})
    refused(old, 401, "invalid-credentials")
    await Player.login(http, player.name, new)


async def test_account_is_erased_with_everything(http: Client) -> None:
    """Erasing requires the password; then the tokens are dead and the name is free again."""
    player = await Player.join(http)
    await player.ordered("keep")
    wrong = await player.send("DELETE", "/v1/accounts/me", {"password": "wrong password"})
    refused(wrong, 401, "invalid-credentials")
    erased = await player.send("DELETE", "/v1/accounts/me", {"password": PASSWORD})
    assert erased.status_code == 204
    refused(await player.send("GET", "/v1/inventory"), 401, "invalid-token")
    refused(await player.order("keep"), 401, "invalid-token")

    reborn = await Player.join(http, player.name)
    assert reborn.account_id != player.account_id
    inventory = await reborn.inventory()
    assert inventory["orders"] == []
    assert inventory["resources"]["gold"]["amount"] == 1000


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer x", "Basic YTpi", "Bearer v4.local.AAAA", "bearer v4.public.e30"],
)
async def test_token_that_is_none_gets_the_one_refusal(http: Client, authorization: str) -> None:
    """Whatever is wrong with a token, the answer is the same 401."""
    answer = await http.get("/v1/inventory", headers={"Authorization": authorization})
    refused(answer, 401, "invalid-token")
    assert answer.headers["www-authenticate"].startswith('Bearer realm="holdfast"')
    assert answer.json() == (await http.get("/v1/inventory")).json()


async def test_token_must_be_the_very_text_that_was_given(http: Client) -> None:
    """A token that is padded, cut or changed by one character is refused."""
    player = await Player.join(http)
    token = player.tokens["access_token"]
    middle = len(token) // 2
    flipped = "A" if token[middle] != "A" else "B"
    for forged in (token + "=", token[:-1], token[:middle] + flipped + token[middle + 1 :]):
        answer = await http.get("/v1/inventory", headers={"Authorization": f"Bearer {forged}"})
        refused(answer, 401, "invalid-token")
