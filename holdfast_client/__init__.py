"""A client of Holdfast servers, for Trio and asyncio.

::

    async with Client("http://127.0.0.1:8470") as client:
        session = await client.log_in("ann", "correct horse")
        print(await session.inventory())
        await session.order("cottage")

It needs httpx, anyio and msgspec, and nothing of the server.
"""

from holdfast_client.admin import Admin
from holdfast_client.client import Client
from holdfast_client.connection import Answer
from holdfast_client.errors import (
    CannotConnect,
    DeadlineExceeded,
    Forbidden,
    HoldfastError,
    InvalidArgument,
    InvalidRequest,
    NoAnswer,
    NotFound,
    Problem,
    Refused,
    ServerBusy,
    TooManyAttempts,
    TooManyRequests,
    Unauthorized,
    UnexpectedAnswer,
)
from holdfast_client.events import EventStream
from holdfast_client.pages import Pages
from holdfast_client.retry import RetryPolicy
from holdfast_client.session import Session

__all__ = [
    "Admin",
    "Answer",
    "CannotConnect",
    "Client",
    "DeadlineExceeded",
    "EventStream",
    "Forbidden",
    "HoldfastError",
    "InvalidArgument",
    "InvalidRequest",
    "NoAnswer",
    "NotFound",
    "Pages",
    "Problem",
    "Refused",
    "RetryPolicy",
    "ServerBusy",
    "Session",
    "TooManyAttempts",
    "TooManyRequests",
    "Unauthorized",
    "UnexpectedAnswer",
]
