"""The messages of a Chest, and its answers."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


# --8<-- [start:messages]
class Pay(msgspec.Struct, frozen=True):
    """Move resources of an account into the chest; answers `Paid` once that is durable.

    Sent on topic ``task`` with the key ``chest``, like `GetChest`. The same key with the same
    fingerprint is the same payment. Refused with `IdempotencyKeyReused`, and like a `Grant`.
    """

    account_id: str
    resources: Mapping[str, int]
    idempotency_key: str
    fingerprint: bytes


class Paid(msgspec.Struct, frozen=True):
    """A payment that was made; ``replayed`` if that was earlier."""

    resources: Mapping[str, int]
    replayed: bool


class GetChest(msgspec.Struct, frozen=True):
    """Answers what is in the chest, by resource."""


# --8<-- [end:messages]
