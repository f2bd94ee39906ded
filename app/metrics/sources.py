"""The sources of one program's metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from actors.database.extent import ExtentMeter
from app.http.traffic import Traffic
from app.metrics.meters import BusMeter, StorageMeter, WorldMeter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.authx.actor import Authx
    from actors.inventory import Courier, Inventories
    from actors.storage import Storage
    from actors.supervisor import Supervisor
    from actors.ticker import Ticker
    from bus import Bus, Subscription


@dataclass(frozen=True, slots=True)
class Sources:
    """The parts of a program that keep their own counts; ``mailboxes`` by the actor's name."""

    bus: Bus
    supervisor: Supervisor
    mailboxes: Mapping[str, Subscription]
    storage: Storage
    authx: Authx
    ticker: Ticker
    inventories: Inventories
    courier: Courier


@dataclass(frozen=True, slots=True)
class Meters:
    """The meters for what is measured at its source."""

    bus: BusMeter = field(default_factory=BusMeter)
    storage: StorageMeter = field(default_factory=StorageMeter)
    world: WorldMeter = field(default_factory=WorldMeter)
    database: ExtentMeter = field(default_factory=ExtentMeter)
    traffic: Traffic = field(default_factory=Traffic)
