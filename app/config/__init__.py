"""The configuration: typed, parsed once at start, never read again.

Precedence, where later ones win: defaults, the file, the environment, the command line.
"""

from app.config.environment import ignored_variables
from app.config.errors import ConfigError
from app.config.load import load_config, unreadable
from app.config.render import render_config
from app.config.secret import Secret
from app.config.sections import Config
from app.config.watching import Log, Tracing

__all__ = [
    "Config",
    "ConfigError",
    "Log",
    "Secret",
    "Tracing",
    "ignored_variables",
    "load_config",
    "render_config",
    "unreadable",
]
