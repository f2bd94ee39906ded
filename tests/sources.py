"""The imports of the project's own source."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("bus", "actors", "app")


@dataclass(frozen=True, slots=True)
class Module:
    """A module of the project, and the full names of its imports, wherever they stand."""

    name: str
    path: Path
    imports: tuple[str, ...]

    def imports_of(self, libraries: set[str]) -> set[str]:
        """Return the ``libraries`` that it imports."""
        return {name.partition(".")[0] for name in self.imports} & libraries

    def within(self, *packages: str) -> bool:
        """Return whether it belongs to one of these packages."""
        return any(self.name == each or self.name.startswith(f"{each}.") for each in packages)


def parse(path: Path) -> ast.Module:
    """Parse one file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def read(path: Path) -> Module:
    """Read one file; its tree is dropped, as every garbage collection would scan it."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Module(name, path, tuple(imports(parse(path), path)))


def imports(tree: ast.Module, path: Path) -> Iterator[str]:
    """Yield the full name of every import of a file, wherever it stands."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(level=0, module=str(module)):
                yield from (f"{module}.{alias.name}" for alias in node.names)
            case ast.ImportFrom():
                raise AssertionError(f"{path} has a relative import")
            case _:
                pass


@cache
def modules_of(*packages: str) -> tuple[Module, ...]:
    """Read every module of some of the top-level packages, once."""
    return tuple(
        [read(path) for package in packages for path in sorted((ROOT / package).rglob("*.py"))]
    )


def modules() -> tuple[Module, ...]:
    """Return every module of the server."""
    return modules_of(*LAYERS)
