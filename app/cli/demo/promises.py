"""What the demo expects of a server: a refusal is as much a promise as an answer."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from holdfast_client import CannotConnect, HoldfastError, Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator


class BrokenPromise(Exception):
    """The server did not do what its API promises; the message is one line."""


@contextmanager
def kept_promises(url: str) -> Generator[None]:
    """Turn anything that the block does not expect of the server into a `BrokenPromise`."""
    try:
        yield
    except CannotConnect as error:
        raise BrokenPromise(f"{error}; {_way_out(str(error), url)}") from None
    except HoldfastError as error:
        raise BrokenPromise(str(error)) from error


def _way_out(reason: str, url: str) -> str:
    """Suggest what usually helps if a server cannot be reached."""
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        return "give the authority that signed its certificate with --cacert FILE"
    if url.startswith("https:"):
        return "does it serve HTTPS there?"
    return "start one with 'holdfast serve'"


async def refused(attempt: Awaitable[object], status: int, slug: str) -> Problem:
    """Await an attempt that must be refused with this status and problem; return the problem.

    Raises:
        BrokenPromise: it succeeds, or is refused differently.
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
