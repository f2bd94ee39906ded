"""The sender's and the receiver's part in a transfer.

The sender's unit takes the goods out and records the transfer as ``sent``; the receiver's unit
brings them in and turns the record into ``delivered``. In between the goods exist only in the
record, so that a crash at any point neither loses nor doubles anything. Neither actor waits for
the other: the courier carries the transfer between them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace
from uuid_utils import uuid7

from actors.inventory import records
from actors.inventory.engine import credit, debit, give_back
from actors.inventory.errors import (
    TransferLimit,
    TransfersDisabled,
    TransferToSelf,
    UnknownReceiver,
    UnknownTransfer,
)
from actors.inventory.records import RECEIVER, Answered
from actors.inventory.views import TransferPage, TransferRecord
from actors.inventory.work import Dispatch, LookUp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from actors.inventory.messages import SendTransfer
    from actors.inventory.work import Work
    from actors.storage import Row

DAY_MS: Final = 86_400_000


def send_transfer(work: Work, command: SendTransfer) -> Dispatch:
    """Take the goods out of the stocks and send them on their way.

    Raises:
        UnknownReceiver, TransfersDisabled, TransferToSelf, TransferLimit, UnknownAsset,
        InvalidAmount, InsufficientResources, IdempotencyKeyReused: nothing changed.
    """
    known = work.answered_before(command.idempotency_key, command.fingerprint)
    if known is not None:
        return Dispatch(known.the(TransferRecord), replayed=True)
    if command.receiver_id is None:
        raise UnknownReceiver
    rules = work.ruleset.transfers
    if not rules.enabled:
        raise TransfersDisabled
    if command.receiver_id == work.account_id:
        raise TransferToSelf
    transfer_id = str(uuid7())
    state, events = debit(
        work.state,
        work.ruleset,
        resources=command.resources,
        now_ms=work.now_ms,
        cause="transfer-sent",
        transfer_id=transfer_id,
    )
    _check_limit(work, command.resources, rules.per_day_max)
    work.take(state, events)
    transfer = TransferRecord(
        id=transfer_id,
        sender_id=work.account_id,
        sender_name=command.sender_name,
        receiver_id=command.receiver_id,
        receiver_name=command.receiver_name,
        resources=command.resources,
        note=command.note,
        state="sent",
        sent_at_ms=work.now_ms,
        settled_at_ms=None,
        ruleset=work.ruleset.version,
    )
    work.store(records.transfer_operation(transfer))
    # An erasure finds names and notes in the transfers; a replayed answer is read from there.
    bare = replace(transfer, sender_name="", receiver_name="", note="")
    work.remember(command.idempotency_key, command.fingerprint, Answered(transfer=bare))
    _count_sent(work, command.resources, 1)
    return Dispatch(transfer)


def receive_transfer(work: Work, transfer: TransferRecord) -> TransferRecord:
    """Bring a transfer in, once; return the resulting record.

    Raises:
        NoRoom: it does not fit, and the ruleset's policy is to refuse what does not.
    """
    settled = work.settled_before(transfer.id)
    if settled is not None:
        return settled
    state, events = credit(
        work.state,
        work.ruleset,
        resources=work.context.goods(transfer),
        now_ms=work.now_ms,
        cause="transfer-received",
        transfer_id=transfer.id,
        overflow=work.ruleset.transfers.overflow,
    )
    work.take(state, events)
    return _settle(work, transfer, "delivered")


def take_back_transfer(
    work: Work, transfer: TransferRecord, *, receiver_gone: bool
) -> TransferRecord:
    """Bring back what the receiver could not take, over the capacity if need be.

    A transfer that comes back on the day it was sent does not count towards that day's limit.
    The erasure of the receiver does not see a transfer committed at the end of that erasure: what
    it would have removed from the record is removed here.
    """
    settled = work.settled_before(transfer.id)
    if settled is not None:
        return settled
    goods = work.context.goods(transfer)
    state, events = give_back(
        work.state,
        work.ruleset,
        resources=goods,
        now_ms=work.now_ms,
        cause="transfer-returned",
        transfer_id=transfer.id,
    )
    work.take(state, events)
    if transfer.sent_at_ms // DAY_MS == work.context.world.now_ms // DAY_MS:
        _count_sent(work, goods, -1)
    return _settle(work, transfer, "returned", erased=RECEIVER if receiver_gone else ())


def get_transfer(work: Work, transfer_id: str) -> LookUp:
    """Look up a transfer, visible only to its sender and receiver."""
    account_id = work.account_id

    def found(rows: Sequence[Sequence[Row]]) -> TransferRecord | UnknownTransfer:
        for transfer in map(records.transfer_from_row, rows[0]):
            if account_id in {transfer.sender_id, transfer.receiver_id}:
                return transfer
        return UnknownTransfer(transfer_id)

    return LookUp((records.transfers_read((transfer_id,)),), found)


def list_transfers(work: Work, before: str | None, limit: int) -> LookUp:
    """Look up a page of the transfers of both directions."""

    def merged(rows: Sequence[Sequence[Row]]) -> TransferPage:
        found = [records.transfer_from_row(row) for side in rows for row in side]
        found.sort(key=lambda transfer: transfer.id, reverse=True)
        page = tuple(found[:limit])
        return TransferPage(page, page[-1].id if len(found) > limit else None)

    return LookUp(records.transfer_reads(work.account_id, before, limit), merged)


def _settle(
    work: Work, transfer: TransferRecord, state: str, *, erased: Sequence[str] = ()
) -> TransferRecord:
    blank = dict.fromkeys(erased, "")
    work.store(records.settled_transfer(transfer.id, state, work.world_ms, erased))
    settled = replace(transfer, state=state, settled_at_ms=work.world_ms, **blank)
    work.settled[transfer.id] = settled
    return settled


def _count_sent(work: Work, resources: Mapping[str, int], sign: int) -> None:
    for name, units in resources.items():
        work.sent[name] = work.sent.get(name, 0) + sign * units


def _check_limit(work: Work, resources: Mapping[str, int], per_day_max: int | None) -> None:
    if per_day_max is None:
        return
    sent = work.context.sent_today
    left = {
        name: max(0, per_day_max - sent.get(name, 0) - work.sent.get(name, 0)) for name in resources
    }
    if any(units > left[name] for name, units in resources.items()):
        raise TransferLimit(left)
