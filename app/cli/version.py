"""``holdfast version``: which version this is."""

from __future__ import annotations

import platform

import click

from app.version import full_version


@click.command()
def version() -> None:
    """Show the version of Holdfast and of the Python it runs on."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    click.echo(f"holdfast {full_version()} ({python}, {platform.system()})")
