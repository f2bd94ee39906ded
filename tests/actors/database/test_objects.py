"""Which of a schema's objects are known to be Holdfast's: what its migrations made, no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.database.driver import open_database
from actors.database.migrate import Migration, migrate, shipped_migrations
from actors.database.objects import UNRECORDED, dropping, objects, ours
from tests.actors.database.worlds import migrate_further
from tests.postgres import quiet_log, run_script

if TYPE_CHECKING:
    from actors.database.session import Session
    from tests.postgres import PostgresServer

LATER = Migration(
    9999,
    "later",
    """
    create type colour as enum ('red');
    create domain percent as integer check (value between 0 and 100);
    create table "Cats" (id bigserial primary key, coat colour, lives percent);
    create sequence numbers;
    create view seen as select * from "Cats";
    create materialized view counted as select count(*) from "Cats";
    create function purr(loud boolean, times integer) returns integer language sql as 'select 1';
    create procedure feed() language sql as 'select 1';
    create aggregate most(integer) (sfunc = int4larger, stype = integer);
    """,
)
MADE = {
    "type public.colour",
    "type public.percent",
    'table public."Cats"',
    "sequence public.numbers",
    "view public.seen",
    "materialized view public.counted",
    "function public.purr(boolean,integer)",
    "procedure public.feed()",
    "aggregate public.most(integer)",
}


async def forget_records(session: Session) -> None:
    """Make the table as left by programs that did not record what their migrations made."""
    await session.execute("alter table schema_migrations drop column made")


async def test_objects_are_what_migrations_made(dsn: str) -> None:
    """Everything in a migrated database is known, even without a record of it."""
    there = {*await run_script(dsn, objects)}
    assert there == await run_script(dsn, ours)
    await run_script(dsn, forget_records)
    assert there >= await run_script(dsn, ours) == {*UNRECORDED}


async def test_objects_of_the_first_migrations_are_listed(postgres: PostgresServer) -> None:
    """The list has what was made by the migrations that may have no record."""
    dsn = await postgres.create_database_async(migrated=False)
    async with open_database(dsn, log=quiet_log()) as database:
        connection = await database.connect(name="first")
        first = [each for each in shipped_migrations() if each.version <= 5]
        await migrate(connection, migrations=first)
        assert {*await connection.run(objects)} == {*UNRECORDED}
        await connection.aclose()


async def test_objects_of_a_later_migration_are_recorded(dsn: str) -> None:
    """Objects this program has never heard of are known by their record, on an old table too."""
    await run_script(dsn, forget_records)
    before = {*await run_script(dsn, ours)}
    await migrate_further(dsn, LATER)
    assert await run_script(dsn, ours) == before | MADE
    assert {*await run_script(dsn, objects)} >= MADE


async def test_objects_of_others_are_told_apart(dsn: str) -> None:
    """Unrecorded objects are somebody else's; those owned by an extension or column are skipped."""
    sql = "create table foo (a serial); create type size as range (subtype = integer)"
    await run_script(dsn, lambda session: session.execute(sql))
    others = {*await run_script(dsn, objects)} - await run_script(dsn, ours)
    assert others == {"table public.foo", "type public.size"}


async def test_dropping_drops_every_kind(dsn: str) -> None:
    """Whatever a migration can make can be dropped again."""
    await migrate_further(dsn, LATER)

    async def drop(session: Session) -> tuple[str, ...]:
        for statement in dropping(await objects(session)):
            await session.execute(statement)
        return await objects(session)

    assert await run_script(dsn, drop) == ()


def test_dropping_names_what_goes() -> None:
    """One statement for each kind; nothing is dropped merely because it depends on something."""
    names = ("function public.f()", "table public.a", "table public.b", "view public.v")
    assert dropping(names) == (
        "drop view public.v",
        "drop table public.a, public.b",
        "drop function public.f()",
    )
