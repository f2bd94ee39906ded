"""The rules of the world that the configuration describes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.inventory.ruleset import ParameterError, load_ruleset
from app.config import ConfigError

if TYPE_CHECKING:
    from actors.inventory.ruleset import Ruleset
    from app.config import Config


def load_world_rules(config: Config) -> Ruleset:
    """Load the ruleset with the configured world parameters; the others keep its defaults.

    Raises:
        RulesetError: it cannot be used.
        ConfigError: it does not accept a configured parameter.
    """
    world = config.world
    speed = {} if world.speed is None else {"speed": world.speed}
    try:
        return load_ruleset(world.ruleset, parameters={**speed, **world.parameters})
    except ParameterError as error:
        first = error.problems[0]
        name = first.where.removeprefix("parameters.")
        is_speed = name in speed and name not in world.parameters
        key = "world.speed" if is_speed else f"world.parameters.{name}"
        raise ConfigError("the configuration", key, first.message) from None
