"""What the demo holds a server to: a refusal is as much of a promise as an answer."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from holdfast_client import CannotConnect, HoldfastError, Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator


class BrokenPromise(Exception):
    """The server did something else than its API promises; the text is one line."""


@contextmanager
def kept_promises(url: str) -> Generator[None]:
    """Turn whatever a server does that the block does not expect into a `BrokenPromise`."""
    try:
        yield
    except CannotConnect as error:
        raise BrokenPromise(f"{error}; {_way_out(str(error), url)}") from None
    except HoldfastError as error:
        raise BrokenPromise(str(error)) from error


def _way_out(reason: str, url: str) -> str:
    """Say what usually helps where there is no way to a server."""
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        return "give the authority that signed its certificate with --cacert FILE"
    if url.startswith("https:"):
        return "does it serve HTTPS there?"
    return "start one with 'holdfast serve'"


async def refused(attempt: Awaitable[object], status: int, slug: str) -> Problem:
    """Make an attempt that must be refused, with this status and problem; give the problem.

    Raises:
        BrokenPromise: it is let through, or refused otherwise.
    """
    try:
        await attempt
    except Problem as problem:
        if (problem.status, problem.slug) != (status, slug):
            raise BrokenPromise(
                f"a request was refused as {problem.slug!r} ({problem.status}), not {slug!r} "
                f"({status})"
            ) from None
        return problem
    raise BrokenPromise(f"a request that must be refused as {slug!r} was accepted")
