"""The errors of a ruleset.

::

    RulesetError        (file, problems: every problem found, in the order of the file's tables)
    └── ParameterError      (the file is sound; the values set for its world parameters are not)

Inside the compiler, which always turns them into a `Problem`::

    FormulaError
    └── TooLarge            (a value beyond 10^18, or beyond what can be computed with)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault: ``where`` names table and key (``buildings.mine.cost.gold``); empty: the file."""

    where: str
    message: str

    def __str__(self) -> str:
        """Return the line shown to people."""
        return f"{self.where}: {self.message}" if self.where else self.message


class RulesetError(Exception):
    """The ruleset cannot be used; one line of text per problem, each led by the file's name."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(f"{file}: {problem}" for problem in problems))
        self.file = file
        self.problems = tuple(problems)


class ParameterError(RulesetError):
    """A world parameter was set that the file does not have, or to a value it does not accept."""


class FormulaError(Exception):
    """A formula cannot be read, or has no value that the game can use."""


class TooLarge(FormulaError):
    """A value is larger than the game can use."""
