"""The account behind a call's token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.authx.errors import InvalidToken, UnknownAccount
from actors.authx.messages import GetAccount

if TYPE_CHECKING:
    from actors.authx.messages import Account
    from app.http.endpoint import Call


async def own_account(call: Call[Any, Any]) -> Account:
    """Return the caller's account.

    Raises:
        InvalidToken: the account, and so its token, was erased after the token was checked.
    """
    try:
        return await call.gateway.auth(GetAccount(call.caller.account_id))
    except UnknownAccount as error:
        raise InvalidToken("the account is gone") from error
