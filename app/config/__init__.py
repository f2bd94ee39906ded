"""The configuration: typed, parsed once at start, never read again.

Precedence, the later wins: defaults, the file, the environment, the command line.
"""

from app.config.environment import ignored_variables
from app.config.errors import ConfigError
from app.config.http import Http
from app.config.load import load_config, unreadable
from app.config.render import render_config
from app.config.secret import Secret
from app.config.sections import (
    Auth,
    BusBuffers,
    Config,
    Database,
    Events,
    Inventory,
    Shutdown,
    Storage,
    Supervisor,
    World,
)
from app.config.watching import Log, Metrics, Tracing

__all__ = [
    "Auth",
    "BusBuffers",
    "Config",
    "ConfigError",
    "Database",
    "Events",
    "Http",
    "Inventory",
    "Log",
    "Metrics",
    "Secret",
    "Shutdown",
    "Storage",
    "Supervisor",
    "Tracing",
    "World",
    "ignored_variables",
    "load_config",
    "render_config",
    "unreadable",
]
