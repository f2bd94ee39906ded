"""How bots decide: what to order on a visit, and what to wait for until the next."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

from app.simulation.greedy import Greedy
from app.simulation.haphazard import Haphazard

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from actors.inventory.ruleset import Ruleset
    from app.simulation.sight import Sight, Wanted


class Policy(Protocol):
    """A way to play. It keeps no state of a single bot: one policy serves all of them."""

    def orders(self, sight: Sight, rng: random.Random) -> list[Wanted]:
        """Choose what to order now, in this order; all of it is affordable together.

        It deducts the prices from ``sight``; the caller enters the orders there, in the form that
        the server returns.
        """
        ...

    def waits_for(self, sight: Sight) -> int | None:
        """Return the world time from which there is something to do again.

        It is an estimate from present incomes; None: waiting will never help.
        """
        ...


POLICIES: Final[MappingProxyType[str, Callable[[Ruleset], Policy]]] = MappingProxyType(
    {"greedy": Greedy, "random": Haphazard}
)
"""The policies by their names on the command line."""


def policy_named(name: str, ruleset: Ruleset) -> Policy:
    """Make a policy by its name; raises KeyError for an unknown one."""
    return POLICIES[name](ruleset)
