"""What caused a failure: the exceptions in a group, and one line that describes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator


def leaves(failure: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions of a group, however nested; a lone exception yields itself."""
    if isinstance(failure, BaseExceptionGroup):
        for part in cast("BaseExceptionGroup[BaseException]", failure).exceptions:
            yield from leaves(part)
    else:
        yield failure


def unwrapped(failure: Exception) -> Exception:
    """Unwrap a lone exception from the groups that nurseries put around it."""
    if not isinstance(failure, ExceptionGroup):
        return failure
    group = cast("ExceptionGroup[Exception]", failure)
    return unwrapped(group.exceptions[0]) if len(group.exceptions) == 1 else group


def one_line(failure: BaseException) -> str:
    """Describe the first exception of a failure by its type and text."""
    first = next(leaves(failure))
    return f"{type(first).__name__}: {first}"
