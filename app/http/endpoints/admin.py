"""The operators' endpoints, for role ``admin``; the audit log records what they change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actors.authx.errors import UnknownAccount
from actors.authx.messages import GetAccount, SearchAccounts, SetSuspended
from actors.inventory.errors import AccountGone, InvalidAmount
from actors.inventory.messages import Grant
from app.http.endpoint import Answer, Auth, Endpoint, Key
from app.http.endpoints.views import in_order, inventory_details
from app.http.errors import FieldError, InvalidRequest
from app.http.types.admin import (
    AccountPage,
    AccountRecord,
    AccountsQuery,
    GrantDetails,
    GrantRequest,
    ReasonRequest,
)
from app.http.types.inventory import Change, InventoryDetails
from app.http.types.times import world_time

if TYPE_CHECKING:
    from actors.authx.messages import Account
    from actors.inventory.views import GrantRecord
    from app.http.endpoint import Call

OK = 200
_REPLAYED = ((b"idempotency-replayed", b"true"),)
_OPERATORS: Final = "operator "
"""The prefix of operators' stored idempotency keys; with its space, none can be a player's."""


async def search_accounts(call: Call[None, AccountsQuery]) -> AccountPage:
    """Find accounts by the beginning of their names."""
    query = call.query
    found = await call.gateway.auth(SearchAccounts(query.query, query.after, query.limit + 1))
    page = found[: query.limit]
    more = len(found) > query.limit
    return AccountPage(
        [_account_record(account) for account in page], page[-1].username if more else None
    )


async def get_any_inventory(call: Call[None, None]) -> InventoryDetails:
    """Return what any account owns now."""
    # The Inventory may have missed that the account was erased: it would show what there was.
    await call.gateway.auth(GetAccount(call.path["account_id"]))
    try:
        view = await call.gateway.look(call.path["account_id"])
    except AccountGone as error:
        raise UnknownAccount from error
    return inventory_details(view)


async def grant_assets(call: Call[GrantRequest, None]) -> Answer[GrantDetails]:
    """Change an account's assets, giving a reason."""
    message = Grant(
        account_id=call.path["account_id"],
        changes=call.body.changes,
        reason=call.body.reason,
        operator=call.caller.username,
        idempotency_key=_OPERATORS + call.command.key,
        fingerprint=call.command.fingerprint,
    )
    try:
        granted = await call.gateway.inventory(message)
    except AccountGone as error:
        raise UnknownAccount from error
    except InvalidAmount as error:
        name = f"changes.{error.name}" if error.name else "changes"
        raise InvalidRequest(FieldError(name, str(error))) from error
    grant = _grant_details(granted.grant)
    return Answer(grant, OK, _REPLAYED) if granted.replayed else Answer(grant)


async def suspend_account(call: Call[ReasonRequest, None]) -> AccountRecord:
    """Suspend an account: its sessions end at once, and its world stops."""
    return await _set_suspended(call, suspended=True)


async def resume_account(call: Call[ReasonRequest, None]) -> AccountRecord:
    """Resume a suspended account: its world continues where it stopped."""
    return await _set_suspended(call, suspended=False)


async def _set_suspended(call: Call[ReasonRequest, None], *, suspended: bool) -> AccountRecord:
    operator, reason = call.caller.username, call.body.reason
    message = SetSuspended(call.path["account_id"], suspended, operator, reason)
    return _account_record(await call.gateway.auth(message))


def _account_record(account: Account) -> AccountRecord:
    return AccountRecord(
        account_id=account.account_id,
        username=account.username,
        role=account.role,
        suspended=account.suspended,
        created_at=account.created_at,
    )


def _grant_details(grant: GrantRecord) -> GrantDetails:
    return GrantDetails(
        id=grant.id,
        account_id=grant.account_id,
        changes={
            name: Change(change.delta, change.balance)
            for name, change in in_order(grant.changes).items()
        },
        reason=grant.reason,
        operator=grant.operator,
        at=world_time(grant.at_ms),
    )


ADMIN = (
    Endpoint(
        method="GET",
        path="/v1/admin/accounts",
        handler=search_accounts,
        summary="Accounts by the beginning of their names",
        tag="admin",
        auth=Auth.ADMIN,
        query=AccountsQuery,
        response=AccountPage,
    ),
    Endpoint(
        method="GET",
        path="/v1/admin/accounts/{account_id:uuid}/inventory",
        handler=get_any_inventory,
        summary="The inventory of any account",
        tag="admin",
        auth=Auth.ADMIN,
        response=InventoryDetails,
        absent="unknown-account",
    ),
    Endpoint(
        method="POST",
        path="/v1/admin/accounts/{account_id:uuid}/grants",
        handler=grant_assets,
        summary="Change an account's assets, giving a reason",
        tag="admin",
        auth=Auth.ADMIN,
        request=GrantRequest,
        response=GrantDetails,
        status=201,
        also=((OK, "The same key again: the first answer, with Idempotency-Replayed: true"),),
        errors=("unknown-asset", "insufficient-resources", "conflict"),
        absent="unknown-account",
        key=Key.REQUIRED,
    ),
    Endpoint(
        method="POST",
        path="/v1/admin/accounts/{account_id:uuid}/suspend",
        handler=suspend_account,
        summary="Suspend an account",
        tag="admin",
        auth=Auth.ADMIN,
        request=ReasonRequest,
        response=AccountRecord,
        absent="unknown-account",
    ),
    Endpoint(
        method="POST",
        path="/v1/admin/accounts/{account_id:uuid}/resume",
        handler=resume_account,
        summary="Let a suspended account in again",
        tag="admin",
        auth=Auth.ADMIN,
        request=ReasonRequest,
        response=AccountRecord,
        absent="unknown-account",
    ),
)
"""The operators' endpoints."""
