"""A string that is never shown."""

from __future__ import annotations

import hmac


class Secret:
    """Holds a secret; only `reveal` returns it, never ``str``, ``repr`` or a log line."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._text

    def __bool__(self) -> bool:
        """Return whether the secret is non-empty."""
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        """Compare in constant time."""
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        """Hash consistently with equality."""
        return hash((Secret, self._text))

    def __repr__(self) -> str:
        """Show that there is a secret, not which."""
        return "Secret('***')" if self else "Secret('')"
