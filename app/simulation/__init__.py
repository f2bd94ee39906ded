"""A simulation: bots that play a ruleset through the Inventory actors, in virtual time."""

from __future__ import annotations

from app.simulation.game import Played, Progress, Setup, play
from app.simulation.policies import POLICIES
from app.simulation.samples import Figure

__all__ = ["POLICIES", "Figure", "Played", "Progress", "Setup", "play"]
