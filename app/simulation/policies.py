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
    """A way to play. It keeps nothing of a single bot: one policy serves all of them."""

    def orders(self, sight: Sight, rng: random.Random) -> list[Wanted]:
        """Choose what to order now, in this order; all of it is affordable together.

        Prices are taken out of ``sight``; the orders are entered there by the caller, in the
        form that the server gives them.
        """
        ...

    def waits_for(self, sight: Sight) -> int | None:
        """Tell from when on there is something to do again, in world time.

        As well as the present incomes tell; None: nothing will ever come of waiting.
        """
        ...


POLICIES: Final[MappingProxyType[str, Callable[[Ruleset], Policy]]] = MappingProxyType(
    {"greedy": Greedy, "random": Haphazard}
)
"""The policies by the names that the command line gives them."""


def policy_named(name: str, ruleset: Ruleset) -> Policy:
    """Make a policy by its name; raises KeyError."""
    return POLICIES[name](ruleset)
