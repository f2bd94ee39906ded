"""The errors of a configuration.

::

    ConfigError    (source, key, problem)
"""

from __future__ import annotations


class ConfigError(Exception):
    """A configuration that cannot be used; the text is one line that names source and key.

    ``source`` is the file, environment variable or option that the value came from; ``key`` is
    ``section.key``, or None if the source as a whole cannot be read.
    """

    def __init__(self, source: str, key: str | None, problem: str) -> None:
        where = source if key is None else f"{source}: {key}"
        super().__init__(f"{where}: {problem}")
        self.source = source
        self.key = key
        self.problem = problem
