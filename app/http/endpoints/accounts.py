"""Registration, and what users can do with their own account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.authx.errors import InvalidPassword
from actors.authx.messages import ChangePassword, EraseAccount, Register
from actors.inventory.errors import InventoryError
from actors.inventory.messages import Forget
from app.http.endpoint import ACTORS, Auth, Endpoint
from app.http.endpoints.caller import own_account
from app.http.errors import FieldError, InvalidRequest
from app.http.types.accounts import (
    AccountDetails,
    ChangePasswordRequest,
    EraseAccountRequest,
    RegisteredAccount,
    RegisterRequest,
)
from bus import BusError

if TYPE_CHECKING:
    from app.http.endpoint import Call


async def register_account(call: Call[RegisterRequest, None]) -> RegisteredAccount:
    """Create an account."""
    message = Register(call.body.username, call.body.password, call.address)
    account = await call.gateway.auth(message)
    return RegisteredAccount(account.account_id, account.username, account.created_at)


async def get_account(call: Call[None, None]) -> AccountDetails:
    """Return the caller's own account."""
    account = await own_account(call)
    return AccountDetails(
        account.account_id,
        account.username,
        account.role,
        account.created_at,
        account.must_change_password,
    )


async def erase_account(call: Call[EraseAccountRequest, None]) -> None:
    """Erase the caller's account and everything in it."""
    account_id = call.caller.account_id
    await call.gateway.auth(EraseAccount(account_id, call.body.password, call.address))
    try:
        await call.gateway.inventory(Forget(account_id))
    except (BusError, InventoryError):
        # The account is erased. An Inventory that missed this notices at its next write, which
        # Storage refuses.
        return


async def change_password(call: Call[ChangePasswordRequest, None]) -> None:
    """Change the caller's password and end every other session."""
    caller, body = call.caller, call.body
    message = ChangePassword(
        caller.account_id,
        caller.session_id,
        body.current_password,
        body.new_password,
        call.address,
    )
    try:
        await call.gateway.auth(message)
    except InvalidPassword as error:
        raise InvalidRequest(FieldError("new_password", str(error))) from error


ACCOUNTS = (
    Endpoint(
        method="POST",
        path="/v1/accounts",
        handler=register_account,
        summary="Create an account",
        tag="accounts",
        auth=Auth.NONE,
        request=RegisterRequest,
        response=RegisteredAccount,
        status=201,
        tries_password=True,
        errors=("registration-closed", "username-taken", "too-many-attempts", *ACTORS),
    ),
    Endpoint(
        method="GET",
        path="/v1/accounts/me",
        handler=get_account,
        summary="The caller's account",
        tag="accounts",
        auth=Auth.PLAYER,
        response=AccountDetails,
        before_password_change=True,
    ),
    Endpoint(
        method="DELETE",
        path="/v1/accounts/me",
        handler=erase_account,
        summary="Erase the caller's account and everything it owns",
        tag="accounts",
        auth=Auth.PLAYER,
        request=EraseAccountRequest,
        status=204,
        tries_password=True,
        errors=("invalid-credentials", "too-many-attempts"),
    ),
    Endpoint(
        method="PUT",
        path="/v1/accounts/me/password",
        handler=change_password,
        summary="Change the password and end every other session",
        tag="accounts",
        auth=Auth.PLAYER,
        request=ChangePasswordRequest,
        status=204,
        before_password_change=True,
        tries_password=True,
        errors=("invalid-credentials", "too-many-attempts"),
    ),
)
"""The endpoints of accounts."""
