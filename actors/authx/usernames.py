"""Usernames: one key per name, so that two spellings are never two accounts."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from actors.authx.errors import InvalidUsername

LENGTH_MIN = 3
LENGTH_MAX = 32

# Four code points can compose into one (a letter and three marks), so hardly anything longer than
# this can end up short enough; refusing it first keeps the work bounded.
RAW_LENGTH_MAX = 8 * LENGTH_MAX
_PUNCTUATION = frozenset("_-.")
_FOLDS_MAX = 4
_DOTTED_I = "i\u0307"
"""What the Turkish capital İ folds to. The mark is invisible over an i, which has its own dot: a
name with it looks like the name without, and its owner would leave it out in small letters."""
_DRAWN_AS_NOTHING = frozenset("\u115f\u1160\U00013441\U00013442")
"""Letters by category that leave no mark: Hangul fillers (U+3164 and U+FFA0 become U+1160) and
the blanks of Egyptian hieroglyphs. A name with one looks like another name, or like none."""
_TOO_LONG = f"must have at most {LENGTH_MAX} characters, counted as names are compared (ß as ss)"


@dataclass(frozen=True, slots=True)
class Username:
    """A username as displayed, and the key in which it is unique."""

    shown: str
    key: str


def parse_username(text: str) -> Username:
    """Read a username and bring it to its key.

    The key is NFKC and casefold (Unicode Standard, section 3.13, D146), repeated until nothing
    changes, since folding can undo composition; an i keeps no second dot. It has
    3 to 32 characters: letters, decimal digits, ``_``, ``-`` and ``.``. The displayed name is the
    NFKC form with its own capitals, or the key if only folding made the characters allowed.

    Raises:
        InvalidUsername: it is too short or too long, or holds another character.
    """
    if len(text) > RAW_LENGTH_MAX:
        raise InvalidUsername(_TOO_LONG)
    composed = unicodedata.normalize("NFKC", text)
    key = _folded(composed)
    if len(key) < LENGTH_MIN:
        raise InvalidUsername(f"must have at least {LENGTH_MIN} characters")
    if len(key) > LENGTH_MAX:
        raise InvalidUsername(_TOO_LONG)
    if not all(map(_is_allowed, key)):
        raise InvalidUsername("may contain only letters, digits, '_', '-' and '.'")
    return Username(shown=composed if all(map(_is_allowed, composed)) else key, key=key)


def parse_new_username(text: str) -> Username:
    """Read a username that somebody wants to take; no letter in it may be invisible.

    Names taken without that rule are read by `parse_username`, so that their users can log in.

    Raises:
        InvalidUsername: as `parse_username`, or it holds such a letter.
    """
    username = parse_username(text)
    if not _DRAWN_AS_NOTHING.isdisjoint(username.key):
        raise InvalidUsername("may not contain invisible letters such as U+3164")
    return username


def fold_username(text: str) -> str:
    """Fold a part of a username to the form of the key, whatever its length, for searching."""
    return _folded_once(unicodedata.normalize("NFKC", text))


def _folded(form: str) -> str:
    for _ in range(_FOLDS_MAX):
        again = _folded_once(form)
        if again == form:
            return form
        form = again
    raise InvalidUsername("has no stable form")  # pragma: no cover - no such text is known


def _folded_once(form: str) -> str:
    return unicodedata.normalize("NFKC", form.casefold().replace(_DOTTED_I, "i"))


def _is_allowed(character: str) -> bool:
    if character in _PUNCTUATION:
        return True
    category = unicodedata.category(character)
    return category == "Nd" or category.startswith("L")
