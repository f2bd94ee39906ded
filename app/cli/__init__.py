"""The command line, ``holdfast``: one module per command, loaded when it is called."""

from app.cli.main import main

__all__ = ["main"]
