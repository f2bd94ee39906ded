"""The client against a real server, under Trio and under asyncio."""

from __future__ import annotations

import socket
import threading
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

import anyio
import pytest

from holdfast_client import (
    Client,
    Forbidden,
    InvalidRequest,
    NotFound,
    Refused,
    RetryPolicy,
    Session,
    Unauthorized,
)
from tests.client.backends import on_both_backends
from tests.e2e.server import SETTINGS, Server, run_command
from tests.postgres import reachable_directory

if TYPE_CHECKING:
    from tests.postgres import PostgresServer

PASSWORD = "correct horse battery"
PATIENT = RetryPolicy(attempts_max=1_000, backoff_s=0.05, backoff_max_s=0.2)


def fresh_name() -> str:
    """Return an unused username."""
    return f"player-{uuid.uuid4().hex[:12]}"


async def join(client: Client, name: str | None = None) -> Session:
    """Register and log in."""
    name = name or fresh_name()
    await client.register(name, PASSWORD)
    return await client.log_in(name, PASSWORD)


async def completed(session: Session, order_id: str) -> None:
    """Wait until an order is completed."""
    with anyio.fail_after(20):
        # The events, which would say so, have their own test.
        while (await session.find_order(order_id)).state != "completed":  # noqa: ASYNC110
            await anyio.sleep(0.02)


@on_both_backends(virtual_time=False)
async def test_client_plays(server: Server) -> None:
    """Every action of a player has a typed answer."""
    async with Client(server.url) as client:
        assert (await client.readiness()).ready
        world, ruleset = await client.world(), await client.ruleset()
        assert world.ruleset.version == ruleset.version
        session = await join(client)
        quote = await session.quote("hut")
        assert (quote.level, quote.affordable) == (1, True)
        assert quote.cost == ruleset.buildings["hut"].levels[0].cost

        order = await session.order("hut")
        assert order.id in {each.id for each in await session.orders()}
        await completed(session, order.id)
        assert (await session.inventory()).owned()["hut"] == 1
        ahead = await session.forecast(timedelta(minutes=1))
        now = await session.inventory()
        assert ahead.resources["wood"].amount > now.resources["wood"].amount

        keep = await session.order("keep")
        cancelled = await session.cancel(keep.id)
        assert (cancelled.order.state, cancelled.refund) == ("cancelled", {})
        scouts = await session.order("scout", 2)
        assert scouts.count == 2
        entries = await session.ledger(page=2).all()
        assert [each.seq for each in entries] == list(range(1, len(entries) + 1))
        assert {"start", "order-placed", "order-cancelled"} <= {each.cause for each in entries}
        rest = await session.ledger(after=entries[1].seq).all()
        assert [each.seq for each in rest[:2]] == [3, 4]


@on_both_backends(virtual_time=False)
async def test_client_is_told_why_not(server: Server) -> None:
    """An impossible request is refused with the reason and what is missing."""
    async with Client(server.url) as client:
        session = await join(client)
        with pytest.raises(Refused, match="insufficient-resources") as caught:
            await session.order("wonder")
        assert caught.value.missing == {"gold": 899_000}
        with pytest.raises(Refused, match="prerequisites-missing"):
            await session.order("writing")
        with pytest.raises(NotFound, match="unknown-asset"):
            await session.quote("castle in the air")
        with pytest.raises(NotFound, match="unknown-order"):
            await session.cancel("no id at all")
        with pytest.raises(InvalidRequest) as invalid:
            await session.order("scout", 0)
        assert invalid.value.errors[0][0] == "count"
        with pytest.raises(Forbidden):
            await session.admin.accounts().all()


@on_both_backends(virtual_time=False)
async def test_client_sends_resources(server: Server) -> None:
    """A transfer arrives, and both sides see it."""
    async with Client(server.url) as client:
        ann, bob = await join(client), await join(client)
        name = (await bob.account()).username
        transfer = await ann.send(name, {"gold": 7}, note="for the mill")
        assert (transfer.receiver, transfer.state) == (name, "delivered")
        assert [each.id async for each in ann.transfers()] == [transfer.id]
        assert (await anext(bob.transfers(page=1))).note == "for the mill"
        assert (await bob.inventory()).resources["gold"].amount == 1007
        for side in (ann, bob):
            assert await side.find_transfer(transfer.id) == transfer
        with pytest.raises(NotFound, match="unknown-transfer"):
            await (await join(client)).find_transfer(transfer.id)
        more = [(await bob.send(mine, {"gold": 1})).id for mine in [transfer.sender] * 2]
        newest_first = [*more[::-1], transfer.id]
        assert [each.id for each in await ann.transfers(page=1).all()] == newest_first
        assert [each.id async for each in ann.transfers(before=more[1])] == newest_first[1:]


@on_both_backends(virtual_time=False)
async def test_client_keeps_its_account(server: Server) -> None:
    """Sessions, a password change, logging out and erasure."""
    name = fresh_name()
    async with Client(server.url) as client:
        session = await join(client, name)
        assert (await session.account()).account_id == session.account_id
        other = await client.log_in(name, PASSWORD)
        assert [each.current for each in await session.sessions()] == [False, True]
        lost = await client.log_in(name, PASSWORD)
        await session.end_session(lost.tokens.session_id)
        with pytest.raises(Unauthorized):
            await lost.inventory()
        with pytest.raises(NotFound, match="unknown-session"):
            await session.end_session(lost.tokens.session_id)
        await session.change_password(PASSWORD, "another password")
        with pytest.raises(Unauthorized):
            await other.inventory()
        assert len(await session.sessions()) == 1
        resumed = client.resume(session.tokens)
        await resumed._credentials.renew(resumed.tokens.access_token)
        assert (await resumed.account()).username == name
        await resumed.log_out()
        with pytest.raises(Unauthorized):
            await resumed.inventory()
        session = await client.log_in(name, "another password")
        await session.end_session(session.tokens.session_id.upper())
        assert session.tokens.refresh_token == ""
        session = await client.log_in(name, "another password")
        await session.log_out_everywhere()
        session = await client.log_in(name, "another password")
        with pytest.raises(Unauthorized):
            await session.erase_account("wrong password")
        await session.erase_account("another password")
        with pytest.raises(Unauthorized):
            await client.log_in(name, "another password")


@on_both_backends(virtual_time=False)
async def test_client_operates(server: Server) -> None:
    """An operator finds accounts, inspects one, grants, suspends and resumes."""
    prefix = f"x{uuid.uuid4().hex[:8]}"
    async with Client(server.url) as client:
        players = [await join(client, f"{prefix}-{n}") for n in range(3)]
        chief = await client.log_in(operator(server), PASSWORD)
        found = await chief.admin.accounts(prefix, page=2).all()
        assert [each.account_id for each in found] == [each.account_id for each in players]
        player = players[0]
        grant = await chief.admin.grant(player.account_id, {"gold": 5}, "a prize")
        assert grant.changes["gold"].balance == 1005
        looked = await chief.admin.inventory(player.account_id)
        assert looked.resources["gold"].amount == 1005
        (cause,) = [
            entry.cause
            for entry in await chief.admin.ledger(player.account_id, after=1).all()
            if entry.cause != "production"
        ]
        assert cause == "grant"
        overview = await chief.admin.account(player.account_id)
        assert (overview.sessions, overview.must_change_password) == (1, False)
        (session,) = await chief.admin.sessions(player.account_id)
        ended = await chief.admin.end_sessions(
            player.account_id, "lost phone", session_id=session.session_id
        )
        assert ended == 1
        with pytest.raises(Unauthorized):
            await player.inventory()
        player = await client.log_in(overview.username, PASSWORD)
        assert await chief.admin.end_sessions(player.account_id, "all phones") == 1
        told = [entry.action async for entry in chief.admin.audit(page=2)]
        assert told[:3] == ["sessions-ended", "sessions-ended", "assets-granted"]
        player = await client.log_in(overview.username, PASSWORD)
        assert (await chief.admin.suspend(player.account_id, "cheating")).suspended
        with pytest.raises(Unauthorized):
            await player.inventory()
        assert not (await chief.admin.resume(player.account_id, "it was not")).suspended


def operator(server: Server) -> str:
    """Make an account with the admin role; return its name."""
    name = fresh_name()
    dsn = server.settings["HOLDFAST_DATABASE__DSN"]
    arguments = ("accounts", "create", name, "--admin", "--password-stdin")
    settings = {"HOLDFAST_DATABASE__DSN": dsn}
    done = run_command(server.directory, *arguments, stdin=f"{PASSWORD}\n", **settings)
    assert done.returncode == 0, done.stderr
    return name


@on_both_backends(virtual_time=False)
async def test_client_follows_what_happens(server: Server) -> None:
    """The stream reports an order from placement to completion, and ends with the session."""
    async with Client(server.url) as client:
        session = await join(client)
        with anyio.fail_after(20):
            async with session.events() as events:
                first = await anext(events)
                assert first.name == "snapshot"
                assert first.inventory is not None
                order = await session.order("hut")
                names = ["order-placed", "order-started", "order-completed"]
                told = [await anext(events) for _ in names]
                assert [each.name for each in told] == names
                done = told[-1]
                assert done.order is not None
                assert (done.order.id, done.order.state) == (order.id, "completed")
                await session.log_out()
                assert [each.name async for each in events] == []


def test_client_outlives_its_server(postgres: PostgresServer) -> None:
    """Across kill -9 and a restart an order takes effect once and the stream loses nothing."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = {
        **SETTINGS,
        "HOLDFAST_DATABASE__DSN": postgres.create_database(),
        "HOLDFAST_HTTP__PORT": str(port),
    }
    with reachable_directory() as directory:
        server = Server(directory, settings)
        try:
            server.start()
            anyio.run(live_through_a_kill, server, backend="trio")
        finally:
            server.end()


async def live_through_a_kill(server: Server) -> None:
    """Order and follow events while the server is killed and restarted."""
    async with Client(server.url, retries=PATIENT) as client:
        session = await join(client)
        async with session.events() as events:
            assert (await anext(events)).name == "snapshot"
            server.kill()
            restart = threading.Thread(target=server.start)
            restart.start()
            with anyio.fail_after(60):
                order = await session.order("palace", key="once")
                told = await anext(events)
                again = await session.order("palace", key="once")
            await anyio.to_thread.run_sync(restart.join)
        assert again == order
        assert (told.name, told.entry and told.entry.order_id) == ("order-placed", order.id)
        assert [each.id for each in await session.orders()] == [order.id]
