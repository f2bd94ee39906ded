"""Rulesets: a game's rules, read from TOML and compiled to tables.

A ruleset is data.  `load_ruleset` turns it into a `Ruleset`, whose answers are look-ups in
tables and products of exact fractions: no formula is evaluated while a game runs.
"""

from actors.inventory.ruleset.errors import ParameterError, Problem, RulesetError
from actors.inventory.ruleset.loader import (
    load_ruleset,
    restore_ruleset,
    shipped_rulesets,
    shipped_text,
)
from actors.inventory.ruleset.model import (
    Asset,
    BalanceReading,
    Rates,
    Requirement,
    Transfers,
)
from actors.inventory.ruleset.ruleset import Ruleset

__all__ = [
    "Asset",
    "BalanceReading",
    "ParameterError",
    "Problem",
    "Rates",
    "Requirement",
    "Ruleset",
    "RulesetError",
    "Transfers",
    "load_ruleset",
    "restore_ruleset",
    "shipped_rulesets",
    "shipped_text",
]
