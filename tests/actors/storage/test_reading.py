"""Many reads at once: their rows are made in slices, without holding a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import trio

from actors.storage import Read
from actors.storage.reading import Reading
from actors.storage.schema import declared_tables
from tests.actors.storage.conftest import postgres_engine
from tests.actors.storage.support import counting_steps, new_entry, new_id

if TYPE_CHECKING:
    import pytest

    from actors.database.driver import Session
    from actors.storage.postgres import PostgresEngine
    from tests.actors.storage.support import Counter

ROWS = 2_000
ANN, BEN = new_id(), new_id()


class Record(dict[str, Any]):
    """A record that reports when a row is made of it."""

    def __init__(self, account_id: str, counter: Counter) -> None:
        super().__init__(account_id=account_id)
        self._counter = counter

    def keys(self) -> Any:
        """Return the names, as `dict` requests them."""
        self._counter.add()
        return super().keys()

    # If it has its own `__iter__`, a dict is copied by its keys.
    def __iter__(self) -> Any:
        """Iterate over the names."""
        return super().__iter__()


async def rows_of(counter: Counter, *reads: Read) -> list[int]:
    """Read with this many rows per statement; count those of each read."""

    class FakeSession:
        async def fetch(self, *_: object) -> list[Record]:
            await trio.lowlevel.checkpoint()
            return [Record((ANN, BEN)[n % 2], counter) for n in range(ROWS)]

    reading = Reading(reads, declared_tables())
    await reading.fetch(cast("Session", FakeSession()))
    return [len(rows) for rows in await reading.rows()]


async def test_reading_makes_the_rows_of_a_large_read_in_slices() -> None:
    """However many there are, other tasks have their turn in between."""
    with counting_steps() as counter:
        read = Read("orders", within={"account_id": (ANN, BEN)})
        assert await rows_of(counter, read) == [ROWS]
        assert 0 < counter.largest <= 500


async def test_reading_makes_the_rows_of_many_reads_in_slices() -> None:
    """This also holds if one statement answers several, or there are several statements."""
    with counting_steps() as counter:
        merged = [Read("orders", where={"account_id": who}) for who in (ANN, BEN)]
        other = Read("inventories", within={"account_id": (ANN, BEN)})
        assert await rows_of(counter, *merged, other) == [ROWS // 2, ROWS // 2, ROWS]
        assert 0 < counter.largest <= 500


async def test_reading_gives_the_connection_back_before_it_makes_rows(
    database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others read on it meanwhile, and a caller cancelled then leaves it as it was."""
    making = trio.Event()

    async def rows(_: Reading) -> None:
        making.set()
        await trio.sleep_forever()

    async with postgres_engine(database_dsn) as engine, trio.open_nursery() as nursery:
        read = Read("ledger", where={"account_id": ANN})
        assert await engine.commit([(new_entry(ANN, 1),)]) == [None]
        assert len((await engine.read([read]))[0]) == 1
        known = readers(engine)
        with monkeypatch.context() as patch:
            patch.setattr(Reading, "rows", rows)
            nursery.start_soon(engine.read, [read])
            await making.wait()
        assert readers(engine) == known
        assert len((await engine.read([read]))[0]) == 1
        nursery.cancel_scope.cancel()
        assert not any(reader is not None and reader.closed for reader in readers(engine))


def readers(engine: PostgresEngine) -> list[Any]:
    """Return the idle connections."""
    return list(engine._idle_readers)
