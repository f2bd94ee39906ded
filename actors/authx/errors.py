"""The errors that Authx answers with.

::

    AuthxError
    ├── RegistrationClosed     (the operator creates the accounts)
    ├── UsernameTaken
    ├── InvalidUsername        (message says what is wrong)
    ├── InvalidPassword        (too short or too long)
    ├── InvalidCredentials     (unknown user or wrong password: never distinguished)
    ├── InvalidToken           (for every reason)
    ├── TooManyAttempts        (retry_after_s)
    ├── UnknownAccount
    └── UnknownSession         (another account's is as unknown as an ended one)
"""

from __future__ import annotations


class AuthxError(Exception):
    """Base class of Authx's refusals."""


class RegistrationClosed(AuthxError):
    """Nobody may register here; the operator creates the accounts."""


class UsernameTaken(AuthxError):
    """Another account has this username, in this or another spelling."""


class InvalidUsername(AuthxError):
    """The username breaks the rules; the message says which."""


class InvalidPassword(AuthxError):
    """The new password is too short or too long; the message says which."""


class InvalidCredentials(AuthxError):
    """Unknown user or wrong password; nobody is told which.

    ``account_id`` is the account whose password was tried, for the log alone; None if nobody has
    the name, or it is not known here.
    """

    def __init__(self, *, account_id: str | None = None) -> None:
        super().__init__()
        self.account_id = account_id


class InvalidToken(AuthxError):
    """This server would not accept the token now, for whatever reason."""


class TooManyAttempts(AuthxError):
    """Too many logins for this user or from this address, or registrations from it.

    ``retry_after_s`` says when to try again.
    """

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class UnknownAccount(AuthxError):
    """There is no such account."""


class UnknownSession(AuthxError):
    """The account has no such session, or it has ended."""
