"""Entity tags: how a client that has something already is told so (RFC 9110, 8.8.3 and 13.1.2)."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence


# One element of a list of them, whether or not it is weak; a comma may be a part of it.
_TAG: Final = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def etag_of(body: bytes) -> bytes:
    """Give the tag of what is sent as these bytes: it says nothing of anything else."""
    return f'"{blake2b(body, digest_size=8).hexdigest()}"'.encode()


def is_held(etag: bytes, if_none_match: Sequence[bytes]) -> bool:
    """Tell whether a client that sent these ``If-None-Match`` has what this is the tag of.

    The comparison is weak, as a proxy may have weakened what it passed on.
    """
    return any(line.strip() == b"*" or etag in _TAG.findall(line) for line in if_none_match)
