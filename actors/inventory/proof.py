"""The proof that a world's books are right; pure.

For each account: replaying its ledger gives what its inventory says, entry by entry and whole unit
by whole unit. For the world: what came from sources, less what went into sinks, is what accounts
hold plus what is in transit between them. The first discrepancy is named.

Goods in transit while the rules changed may arrive under other names than they were sent by: that
uses up the old and makes the new, as a change of rules does with what is owned.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from actors.inventory.engine.draft import HELD_PREFIX
from actors.inventory.eras import eras_after
from actors.inventory.records import CHANGES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from actors.inventory.eras import Era
    from actors.storage import Row

T = TypeVar("T")


class Effect(Enum):
    """How a cause of ledger entries changes the amount of things in the world."""

    SOURCE = "source"
    """It makes."""

    SINK = "sink"
    """It uses up."""

    EITHER = "either"
    """It makes what it adds, and uses up what it takes."""

    SENDING = "sending"
    """It sends goods on their way to another account."""

    ARRIVAL = "arrival"
    """It takes in goods in transit."""

    NOTHING = "nothing"
    """It changes no amount; the entry is a record only."""


EFFECTS: Final[Mapping[str, Effect]] = MappingProxyType(
    {
        "start": Effect.SOURCE,
        "production": Effect.EITHER,  # consumption is negative production
        "order-placed": Effect.SINK,
        "order-started": Effect.NOTHING,
        "order-completed": Effect.SOURCE,
        "unit-completed": Effect.SOURCE,
        "order-cancelled": Effect.SOURCE,
        "transfer-sent": Effect.SENDING,
        "transfer-received": Effect.ARRIVAL,
        "transfer-returned": Effect.ARRIVAL,
        "spilled": Effect.SINK,
        "held-released": Effect.EITHER,  # two fractions may make a whole unit together
        "grant": Effect.EITHER,
        "ruleset-changed": Effect.EITHER,
    }
)
"""Every cause of a ledger entry, and its effect."""

_CARRYING: Final = frozenset({Effect.SENDING, Effect.ARRIVAL})
_MAKING: Final = frozenset({Effect.SOURCE, Effect.EITHER})
_USING: Final = frozenset({Effect.SINK, Effect.EITHER})


class LedgerDiffers(Exception):
    """The books are wrong; says where, what was expected and what was found."""

    def __init__(
        self,
        what: str,
        expected: object,
        found: object,
        *,
        account_id: str | None = None,
        seq: int | None = None,
        asset: str | None = None,
    ) -> None:
        places = (
            ("world", "" if account_id is None else None),
            ("account", account_id),
            ("entry", seq),
            ("asset", asset),
        )
        where = ", ".join(f"{name} {at}".rstrip() for name, at in places if at is not None)
        super().__init__(f"{where}: {what}: expected {expected}, found {found}")
        self.what = what
        self.expected = expected
        self.found = found
        self.account_id = account_id
        self.seq = seq
        self.asset = asset


@dataclass(frozen=True, slots=True)
class Totals:
    """One resource in the whole world, in whole units: sources - sinks = held + in transit."""

    name: str
    sources: int
    sinks: int
    holdings: int
    on_the_way: int


@dataclass(slots=True)
class _Sums:
    """The sums of one asset in the world."""

    sources: int = 0
    sinks: int = 0
    holdings: int = 0
    on_the_way: int = 0
    from_gone: int = 0
    """What came from accounts that have since been erased."""
    to_gone: int = 0
    """What went to accounts that have since been erased, or was lost."""


class _Holdings(msgspec.Struct, frozen=True):
    """The part of a stored state that holds amounts, each as [units, grains beyond]."""

    seq: int
    amounts: dict[str, tuple[int, int]]
    levels: dict[str, int] = {}
    units: dict[str, int] = {}
    held: dict[str, tuple[int, int]] = {}

    def balances(self) -> dict[str, int]:
        """Return the balance of everything, by the names that the ledger uses."""
        return {
            **{name: whole for name, (whole, _) in self.amounts.items()},
            **{HELD_PREFIX + name: whole for name, (whole, _) in self.held.items()},
            **self.levels,
            **self.units,
        }


_HOLDINGS: Final = msgspec.json.Decoder(_Holdings)
_RESOURCES: Final = msgspec.json.Decoder(dict[str, int])


@dataclass(slots=True)
class _Account:
    """An account's ledger, replayed so far."""

    account_id: str
    seq: int = 0
    balances: dict[str, int] = field(default_factory=dict[str, int])

    def differs(
        self, what: str, expected: object, found: object, asset: str | None = None
    ) -> LedgerDiffers:
        return LedgerDiffers(
            what, expected, found, account_id=self.account_id, seq=self.seq, asset=asset
        )

    def expect(self, seq: int) -> None:
        """Advance to the next entry, which must have this sequence number."""
        self.seq += 1
        if seq != self.seq:
            raise self.differs("an entry is missing", self.seq, seq)

    def replay(self, changes: Mapping[str, Sequence[int]]) -> None:
        """Apply the changes of one entry."""
        for name, (delta, balance, *_) in changes.items():
            expected = self.balances.get(name, 0) + delta
            if balance != expected:
                what = f"the balance does not follow from the one before and {delta:+}"
                raise self.differs(what, expected, balance, name)
            if balance < 0:
                raise self.differs("the balance is negative", "0 or more", balance, name)
            self.balances[name] = balance


class Proof:
    """Takes in a world page by page; raises `LedgerDiffers` at the first difference.

    A page is `begin`, any number of `enter`, `close`. Rows are those of the tables, as Storage's
    snapshot returns them; memory holds only one page of accounts. ``eras`` are all the rules that
    the world has run under, oldest first.
    """

    def __init__(self, eras: Sequence[Era] = ()) -> None:
        self._eras = eras
        self.accounts = 0
        self.entries = 0
        self._page: dict[str, _Account] = {}
        self._inventories: Sequence[Row] = ()
        self._sums: dict[str, _Sums] = {}
        self._resources: dict[str, None] = {}

    def begin(self, inventories: Sequence[Row]) -> None:
        """Begin a page with these inventories."""
        self._inventories = inventories
        self._page = {row["account_id"]: _Account(row["account_id"]) for row in inventories}

    def enter(self, entries: Iterable[Row]) -> None:
        """Replay ledger entries of the page's accounts, by account and sequence."""
        for row in entries:
            self.entries += 1
            account = self._page.get(row["account_id"])
            if account is None:
                raise LedgerDiffers(
                    "a ledger without an inventory",
                    "no entry",
                    row["cause"],
                    account_id=row["account_id"],
                    seq=row["seq"],
                )
            account.expect(row["seq"])
            changes = _decoded(CHANGES, row["changes"], account, "its changes cannot be read")
            account.replay(changes)
            self._count(account, row, changes)

    def close(self) -> None:
        """Compare the page's inventories with the results of their ledgers."""
        for row in self._inventories:
            account = self._page[row["account_id"]]
            self.accounts += 1
            state = _decoded(_HOLDINGS, row["state"], account, "its inventory cannot be read")
            for name, last in (("record", row["ledger_seq"]), ("state", state.seq)):
                if last != account.seq:
                    what = f"the ledger does not end where the inventory's {name} says"
                    raise account.differs(what, last, account.seq)
            self._compare(account, state.balances())
            self._resources.update(dict.fromkeys(state.amounts))
        self._page = {}
        self._inventories = ()

    def _compare(self, account: _Account, owned: Mapping[str, int]) -> None:
        for name in {**account.balances, **owned}:
            replayed, found = account.balances.get(name, 0), owned.get(name, 0)
            if replayed != found:
                what = "the inventory is not what its ledger adds up to"
                raise account.differs(what, replayed, found, name)
            self._of(name).holdings += found

    def _count(self, account: _Account, row: Row, changes: Mapping[str, Sequence[int]]) -> None:
        """Count an entry in the world's sums."""
        effect = EFFECTS.get(row["cause"])
        if effect is None:
            raise account.differs("an unknown cause", "one of " + ", ".join(EFFECTS), row["cause"])
        totals: dict[str, int] = {}
        for name, (delta, *_) in changes.items():
            plain = name.removeprefix(HELD_PREFIX)
            totals[plain] = totals.get(plain, 0) + delta
        if effect in _CARRYING:
            # The world's sums will show that nothing gets lost between accounts.
            self._carry(account, row, totals)
            return
        for name, delta in totals.items():
            if delta > 0 and effect not in _MAKING:
                raise account.differs(
                    f"{row['cause']} must not create anything", "0 or less", delta, name
                )
            if delta < 0 and effect not in _USING:
                raise account.differs(
                    f"{row['cause']} must not use anything up", "0 or more", delta, name
                )
            self._make(name, delta)

    def _carry(self, account: _Account, row: Row, totals: Mapping[str, int]) -> None:
        """Compare a transfer's entry with the transfer's record."""
        cause, transfer_id = row["cause"], row["transfer_id"]
        _check_record(account, row)
        sent = _decoded(_RESOURCES, row["resources"], account, f"transfer {transfer_id}")
        arrives = EFFECTS[cause] is Effect.ARRIVAL
        sign = 1 if arrives else -1
        named = self._named(row, sent, totals) if arrives else sent
        for name in {**named, **totals}:
            expected, found = sign * named.get(name, 0), totals.get(name, 0)
            if expected != found:
                what = f"{cause} does not move what transfer {transfer_id} carries"
                raise account.differs(what, expected, found, name)
        if named != sent:
            for name in {**sent, **named}:
                self._make(name, named.get(name, 0) - sent.get(name, 0))

    def _named(
        self, row: Row, sent: Mapping[str, int], found: Mapping[str, int]
    ) -> Mapping[str, int]:
        """Rename what was sent to the names it was found by, if any later rules used those."""
        named = sent
        for era in eras_after(self._eras, row["ruleset"], row["sent_ms"]):
            if named == found:
                break
            named = era.goods(named)
        return named if named == found else sent

    def _make(self, name: str, delta: int) -> None:
        """Count what was made or, if negative, used up."""
        sums = self._of(name)
        sums.sources += max(0, delta)
        sums.sinks -= min(0, delta)

    def _of(self, name: str) -> _Sums:
        name = name.removeprefix(HELD_PREFIX)
        sums = self._sums.get(name)
        if sums is None:
            sums = self._sums[name] = _Sums()
        return sums

    def count_transfers(self, transfers: Iterable[Row]) -> None:
        """Take in transfers; ``sender_here`` and ``receiver_here`` say who has an inventory."""
        for row in transfers:
            state, sender_here = row["state"], row["sender_here"]
            for name, units in _RESOURCES.decode(row["resources"]).items():
                sums = self._of(name)
                if state == "sent":
                    sums.on_the_way += units
                    self._resources[name] = None
                arrived = state == "sent" or (state == "delivered" and row["receiver_here"])
                if arrived and not sender_here:
                    sums.from_gone += units
                gone = state == "lost" or (state == "delivered" and not row["receiver_here"])
                if gone and sender_here:
                    sums.to_gone += units

    def world(self) -> list[Totals]:
        """Compare what all accounts hold with all that was made and used up.

        Returns the totals of the resources. Call it once everything has been taken in.
        """
        for name, sums in self._sums.items():
            made = sums.sources + sums.from_gone - sums.sinks - sums.to_gone
            found = sums.holdings + sums.on_the_way
            if made != found:
                what = "what is held and in transit does not equal sources minus sinks"
                raise LedgerDiffers(what, made, found, asset=name)
        return [self._totals(name) for name in self._resources]

    def _totals(self, name: str) -> Totals:
        sums = self._of(name)
        return Totals(
            name,
            sums.sources + sums.from_gone,
            sums.sinks + sums.to_gone,
            sums.holdings,
            sums.on_the_way,
        )


def _check_record(account: _Account, row: Row) -> None:
    """Refuse a transfer's entry if the record is missing, another account's, or ended otherwise."""
    cause, transfer_id = row["cause"], row["transfer_id"]
    if row["state"] is None:
        raise account.differs(f"{cause}, but the transfer is not on record", transfer_id, "none")
    side = "receiver" if cause == "transfer-received" else "sender"
    if row[side] != account.account_id:
        raise account.differs(
            f"the {side} of transfer {transfer_id}", account.account_id, row[side]
        )
    wanted = {"transfer-received": "delivered", "transfer-returned": "returned"}.get(cause)
    if wanted not in {None, row["state"]}:
        raise account.differs(f"the state of transfer {transfer_id}", wanted, row["state"])


def _decoded(decoder: msgspec.json.Decoder[T], text: str, account: _Account, what: str) -> T:
    try:
        return decoder.decode(text)
    except msgspec.MsgspecError as error:
        raise account.differs(what, "rows as the server writes them", str(error)) from error
