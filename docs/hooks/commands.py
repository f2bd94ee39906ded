"""Generates the page of every command from the commands themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from app.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD: Final = """\
# Commands

Every command of `holdfast`, as `holdfast COMMAND --help` shows it. Exit status: 0 on success, 1
when something failed (one line on standard error says what), 2 for wrong usage, 130 after Ctrl-C;
`holdfast serve` has its own, described in [How it works](../how-it-works.md#shutdown).

"""


def commands() -> Iterator[tuple[str, click.Context]]:
    """Yield every command with the words that call it, those of a group after it."""
    yield from _below(main, "holdfast", None)


def commands_page() -> str:
    """Return the page."""
    parts = [_HEAD]
    for name, context in commands():
        if isinstance(context.command, click.Group) and context.parent is None:
            continue
        level = "##" if name.count(" ") == 1 else "###"
        anchor = name.replace(" ", "-")
        parts += [f"{level} {name} {{#{anchor}}}\n", f"```text\n{_help(context)}\n```\n"]
    return "\n".join(parts)


def _below(
    command: click.Command, name: str, parent: click.Context | None
) -> Iterator[tuple[str, click.Context]]:
    word = name.rpartition(" ")[2]
    context = click.Context(command, info_name=word, parent=parent, max_content_width=92)
    context.terminal_width = 92
    yield name, context
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            found = command.get_command(context, each)
            if found is not None and not found.hidden:
                yield from _below(found, f"{name} {each}", context)


def _help(context: click.Context) -> str:
    return context.get_help().strip()
