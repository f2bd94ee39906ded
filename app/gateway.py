"""The fronts' way to the world: typed questions to the actors, each with a bounded wait.

A front (the HTTP layer, a test, another protocol) sees the actors only through this module. The
caller owns nothing: a message once sent takes effect whether or not anybody still waits for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, overload

import msgspec
import trio

from actors.authx.messages import Authorize
from actors.inventory.messages import GetInventory
from actors.ticker import TICKER_KEY, GetWorld, World
from app.etags import etag_of
from bus import ActorStopped, Bus, Interest, Topic

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from actors.authx.messages import (
        Account,
        AccountOverview,
        AuditRecord,
        AuthMessage,
        ChangePassword,
        EndSession,
        EndSessions,
        EraseAccount,
        FindAccount,
        GetAccount,
        GetAccountOverview,
        Identity,
        ListSessions,
        Login,
        ReadAudit,
        Refresh,
        Register,
        RevokeSessions,
        SearchAccounts,
        SessionInfo,
        SetSuspended,
        Tokens,
    )
    from actors.inventory.engine import Quote
    from actors.inventory.messages import (
        CancelOrder,
        Forget,
        GetEvents,
        GetForecast,
        GetLedger,
        GetOrder,
        GetQuote,
        GetTransfer,
        Grant,
        InventoryMessage,
        ListOrders,
        ListTransfers,
        PlaceOrder,
        SendTransfer,
        Settle,
    )
    from actors.inventory.views import (
        Cancelled,
        EventPage,
        Granted,
        InventoryView,
        LedgerPage,
        OrderView,
        Placed,
        Sent,
        TransferPage,
        TransferRecord,
    )
    from app.http.types.operations import LoggedEvents, Status
    from bus import Subscription


class PublishedRuleset(Protocol):
    """The part of a compiled ruleset that is shown to clients."""

    @property
    def name(self) -> str:
        """The ruleset's own name."""
        ...

    @property
    def version(self) -> str:
        """A hash of the rules and the parameters in force."""
        ...

    @property
    def parameters(self) -> Mapping[str, int | float]:
        """The world parameters in force, ``speed`` among them where the ruleset has it."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """Return the whole ruleset as plain JSON data."""
        ...


class Operations(Protocol):
    """What operators can see of the program itself, without waiting."""

    def status(self) -> Status:
        """Return the current state of every part."""
        ...

    def events(self, after: int | None, *, level: str, limit: int) -> LoggedEvents:
        """Return recently logged events."""
        ...


class Gateway:
    """Asks the actors over the bus and waits for the answer or the timeout.

    Besides the errors that its message names, every question raises:

    - `bus.Overloaded`: the actor's buffer is full; nothing was delivered,
    - `bus.ActorStopped`: no actor was there, or it dropped the message,
    - `bus.ReplyTimeout`: no answer within ``reply_timeout_s`` seconds.

    Cancellation abandons the wait; the message is not withdrawn. ``peek`` is
    `actors.authx.actor.Authx.peek`, and ``peek_inventory``
    `actors.inventory.manager.Inventories.peek`, if there is one.
    """

    def __init__(
        self,
        bus: Bus,
        ruleset: PublishedRuleset,
        *,
        reply_timeout_s: float,
        world_name: str,
        actor_states: Callable[[], Mapping[str, str]],
        ready: Callable[[], bool],
        peek: Callable[[str], Identity | None] | None = None,
        peek_inventory: Callable[[str], InventoryView | None] | None = None,
        operations: Operations | None = None,
    ) -> None:
        self._bus = bus
        self._reply_timeout_s = reply_timeout_s
        self._actor_states = actor_states
        self._ready = ready
        self._peek = peek
        self._peek_inventory = peek_inventory
        self._operations = operations
        self._ruleset_json: bytes | None = None
        self._ruleset_etag: bytes | None = None
        self.ruleset = ruleset
        self.world_name = world_name

    @overload
    async def auth(
        self, message: Register | GetAccount | FindAccount | SetSuspended
    ) -> Account: ...
    @overload
    async def auth(self, message: SearchAccounts) -> tuple[Account, ...]: ...
    @overload
    async def auth(self, message: Login | Refresh) -> Tokens: ...
    @overload
    async def auth(self, message: Authorize) -> Identity: ...
    @overload
    async def auth(self, message: GetAccountOverview) -> AccountOverview: ...
    @overload
    async def auth(self, message: RevokeSessions) -> int: ...
    @overload
    async def auth(self, message: ReadAudit) -> tuple[AuditRecord, ...]: ...
    @overload
    async def auth(self, message: ListSessions) -> tuple[SessionInfo, ...]: ...
    @overload
    async def auth(
        self, message: EndSessions | EndSession | ChangePassword | EraseAccount
    ) -> None: ...

    # The overloads give each message's reply type; the bus carries any type.
    def auth(self, message: AuthMessage) -> Coroutine[Any, Any, Any]:
        """Ask Authx; raises the errors of `actors.authx.errors` that the message names."""
        return self._ask(Topic.AUTH, message, None)

    async def authorize(self, token: str) -> Identity:
        """Return the identity that an access token stands for.

        Authx almost always has it cached; it is then read directly, without a message.

        Raises:
            InvalidToken: the token is not accepted now.
        """
        known = None if self._peek is None else self._peek(token)
        return await self.auth(Authorize(token)) if known is None else known

    @overload
    async def inventory(self, message: GetInventory | GetForecast) -> InventoryView: ...
    @overload
    async def inventory(self, message: GetQuote) -> Quote: ...
    @overload
    async def inventory(self, message: SendTransfer) -> Sent: ...
    @overload
    async def inventory(self, message: GetTransfer) -> TransferRecord: ...
    @overload
    async def inventory(self, message: ListTransfers) -> TransferPage: ...
    @overload
    async def inventory(self, message: Grant) -> Granted: ...
    @overload
    async def inventory(self, message: PlaceOrder) -> Placed: ...
    @overload
    async def inventory(self, message: CancelOrder) -> Cancelled: ...
    @overload
    async def inventory(self, message: GetOrder) -> OrderView: ...
    @overload
    async def inventory(self, message: ListOrders) -> tuple[OrderView, ...]: ...
    @overload
    async def inventory(self, message: GetLedger) -> LedgerPage: ...
    @overload
    async def inventory(self, message: GetEvents) -> EventPage: ...
    @overload
    async def inventory(self, message: Settle | Forget) -> None: ...

    def inventory(self, message: InventoryMessage) -> Coroutine[Any, Any, Any]:
        """Ask the account's Inventory; raises the errors of `actors.inventory.errors`."""
        return self._ask(Topic.TASK, message, message.account_id)

    async def look(self, account_id: str) -> InventoryView:
        """Return what an account owns now.

        While nothing else is pending there, the Inventory is read directly, without a message.

        Raises: as `inventory`.
        """
        known = None if self._peek_inventory is None else self._peek_inventory(account_id)
        return await self.inventory(GetInventory(account_id)) if known is None else known

    def follow(self, *keys: str) -> Subscription:
        """Subscribe to what is published under these accounts and sessions on topic ``event``.

        Only the latest message not yet received is kept; the caller closes the subscription.

        Raises:
            ActorStopped: the bus is closing down.
        """
        try:
            return self._bus.subscribe(*(Interest(Topic.EVENT, key) for key in keys), buffer=1)
        except trio.ClosedResourceError as error:
            raise ActorStopped from error

    def ask(self, message: object, *, key: str) -> Coroutine[Any, Any, Any]:
        """Ask an added actor, the one that takes the messages of a key on topic ``task``.

        The bus carries any type: the message defines its reply. Raises the errors that it names.
        """
        return self._ask(Topic.TASK, message, key)

    async def world(self) -> World:
        """Ask the Ticker for the world clock."""
        world: World = await self._ask(Topic.TASK, GetWorld(), TICKER_KEY)
        return world

    @property
    def operations(self) -> Operations:
        """The source of operators' information on the program itself.

        Raises:
            ActorStopped: there is none.
        """
        if self._operations is None:
            raise ActorStopped
        return self._operations

    def actor_states(self) -> Mapping[str, str]:
        """Return the state of every supervised actor by name."""
        return self._actor_states()

    def ready(self) -> bool:
        """Whether every permanent actor is ready."""
        return self._ready()

    def speed(self) -> int | float:
        """Return how many times faster than its ruleset's own pace this world runs."""
        return self.ruleset.parameters.get("speed", 1)

    def ruleset_json(self) -> bytes:
        """Return the ruleset's description as JSON, encoded once."""
        if self._ruleset_json is None:
            self._ruleset_json = msgspec.json.encode(self.ruleset.describe())
        return self._ruleset_json

    def ruleset_etag(self) -> bytes:
        """Return the entity tag of `ruleset_json`; it depends only on the rules in force."""
        if self._ruleset_etag is None:
            self._ruleset_etag = etag_of(self.ruleset_json())
        return self._ruleset_etag

    async def _ask(self, topic: Topic, message: object, key: str | None) -> Any:
        try:
            return await self._bus.ask(topic, message, key=key, timeout_s=self._reply_timeout_s)
        except trio.ClosedResourceError as error:
            # The bus is closing down.
            raise ActorStopped from error
