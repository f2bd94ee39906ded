"""Accounts and their passwords."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from actors.authx.settings import PASSWORD_LENGTH_CEILING, PASSWORD_LENGTH_FLOOR
from actors.authx.usernames import RAW_LENGTH_MAX
from app.http.types.ids import Id
from app.http.types.times import Time

NewName = Annotated[
    str,
    Meta(
        description="3 to 32 letters, digits, `_`, `-`, `.`, counted after NFKC and case folding",
        extra_json_schema={"minLength": 1, "maxLength": RAW_LENGTH_MAX},
    ),
]
NewPassword = Annotated[
    str,
    Meta(
        description="8 to 128 characters, unless the operator has set other bounds",
        extra_json_schema={
            "minLength": PASSWORD_LENGTH_FLOOR,
            "maxLength": PASSWORD_LENGTH_CEILING,
        },
    ),
]
# Authx checks these and gives better reasons: here they are only described, by bounds that hold for
# every spelling of a name (one character can become three) and every configuration.


class RegisterRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A username of 3 to 32 characters, and a password, which is used exactly as given.

    The username is counted in NFKC with its case folded, and stored in NFKC, as in the answer.
    """

    username: NewName
    password: NewPassword


class EraseAccountRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The account's password, so that a stolen token cannot erase it."""

    password: str


class ChangePasswordRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The current password and the new one."""

    current_password: str
    new_password: NewPassword


class RegisteredAccount(msgspec.Struct, frozen=True):
    """A new account."""

    account_id: Id
    username: str
    created_at: Time


class AccountDetails(msgspec.Struct, frozen=True):
    """An account as its owner sees it.

    With ``must_change_password`` it has a one-time password, which must be changed first.
    """

    account_id: Id
    username: str
    role: str
    created_at: Time
    must_change_password: bool
