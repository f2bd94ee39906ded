"""Prerequisites: that they name assets, can be met, and form no cycle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.inventory.ruleset.model import Requirement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.inventory.ruleset.model import Kind
    from actors.inventory.ruleset.schema import AssetTable
    from actors.inventory.ruleset.scope import Scope


def requirements_of(
    scope: Scope, where: str, table: AssetTable, kinds: Mapping[str, Kind]
) -> tuple[Requirement, ...]:
    """Return the prerequisites of one asset; reports the unknown and the unreachable."""
    needs: list[Requirement] = []
    for name, level in table.requires.items():
        at = f"{where}.requires.{name}"
        if not scope.known(at, "asset", kinds, name):
            continue
        last = scope.last_levels.get(name)
        if last is not None and level > last:
            scope.report(at, f"cannot be reached: {name} has levels 1 to {last}, not {level}")
        needs.append(Requirement(name, level))
    return tuple(needs)


def report_circles(scope: Scope, tables: Mapping[str, tuple[str, AssetTable]]) -> None:
    """Report every cycle of prerequisites once; ``tables`` gives place and table by name."""
    done: set[str] = set()
    for start in tables:
        path: list[str] = []
        _walk(scope, tables, start, path, done)


def _walk(
    scope: Scope,
    tables: Mapping[str, tuple[str, AssetTable]],
    start: str,
    path: list[str],
    done: set[str],
) -> None:
    """Traverse what ``start`` needs, depth first and without recursion: chains may be long."""
    stack = [(start, iter(tables[start][1].requires))]
    path.append(start)
    while stack:
        name, needs = stack[-1]
        for need in needs:
            if need in path:
                circle = [*path[path.index(need) :], need]
                where = f"{tables[name][0]}.requires.{need}"
                scope.report(where, "circular prerequisites: " + " needs ".join(circle))
            elif need in tables and need not in done:
                path.append(need)
                stack.append((need, iter(tables[need][1].requires)))
                break
        else:
            done.add(name)
            path.pop()
            stack.pop()
