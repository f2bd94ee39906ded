"""``holdfast demo``: a client of the HTTP API that plays, and checks every promise on the way."""

from app.cli.demo.command import demo

__all__ = ["demo"]
