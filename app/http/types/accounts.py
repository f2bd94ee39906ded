"""Accounts and their passwords."""

from __future__ import annotations

from datetime import datetime

import msgspec


class RegisterRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A username of 3 to 32 characters, and a password that is never altered.

    The username is counted in NFKC with its case folded, and kept in NFKC: the answer gives it.
    """

    username: str
    password: str


class EraseAccountRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The account's password, so that a stolen token cannot erase it."""

    password: str


class ChangePasswordRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The password in force and the one to come."""

    current_password: str
    new_password: str


class RegisteredAccount(msgspec.Struct, frozen=True):
    """A new account."""

    account_id: str
    username: str
    created_at: datetime


class AccountDetails(msgspec.Struct, frozen=True):
    """An account as its owner sees it.

    With ``must_change_password`` it has a one-time password: nothing else may be done before.
    """

    account_id: str
    username: str
    role: str
    created_at: datetime
    must_change_password: bool
