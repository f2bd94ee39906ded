"""Entity tags: tell a client that its copy is current (RFC 9110, 8.8.3 and 13.1.2)."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence


# One element of a list of tags, weak or not; a tag may contain a comma.
_TAG: Final = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def etag_of(body: bytes) -> bytes:
    """Return the entity tag of a response body; it depends on these bytes alone."""
    return f'"{blake2b(body, digest_size=8).hexdigest()}"'.encode()


def is_held(etag: bytes, if_none_match: Sequence[bytes]) -> bool:
    """Return whether these ``If-None-Match`` lines match the tag, so the client's copy is current.

    The comparison is weak, as a proxy may have weakened the tag it passed on.
    """
    return any(line.strip() == b"*" or etag in _TAG.findall(line) for line in if_none_match)
