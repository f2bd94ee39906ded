"""Base64url without padding, in its one canonical spelling (RFC 4648, sections 3.5 and 5).

Common decoders accept padding, foreign characters and set trailing bits, so that one value has
many spellings. Here each value has one.
"""

from __future__ import annotations

import base64
import binascii


def encode(data: bytes) -> str:
    """Encode bytes in base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes | None:
    """Decode the canonical spelling of some bytes; None for everything else."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        return None
    return data if encode(data) == text else None
