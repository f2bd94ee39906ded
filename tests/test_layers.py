"""The layers as a test: bus <- actors <- app, and which modules may import which library.

The client stands outside the layers: it knows nothing of the server, and within the server only
``holdfast demo``, itself a client, knows it.

Imports are read from the source, so those that only a type checker follows count too.
"""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING

import pytest

from tests.sources import LAYERS, imports, modules, modules_of, parse

if TYPE_CHECKING:
    from pathlib import Path

CLIENT = "holdfast_client"
CLIENT_LIBRARIES = {"anyio", "httpx", "msgspec"}
DRIVER = "actors.database.driver"
ISLAND = "actors.database.island"
PURE = ("actors.inventory.engine", "actors.inventory.ruleset")
DATABASE_LIBRARIES = {"asyncpg", "trio_asyncio", "asyncio", "greenlet"}
HTTP_LIBRARIES = {"quart", "quart_trio", "hypercorn", "werkzeug", "h11", "h2", "wsproto", "httpx"}
IMPURE_LIBRARIES = {"trio", "structlog", "time", "random", "secrets", "socket", "threading"}
COMMAND_LIBRARIES = {"click", "rich"}


def test_layers_are_all_there() -> None:
    """The test looks at the real tree: each layer, the driver and the pure packages exist."""
    names = {module.name for module in modules()}
    assert {*LAYERS, DRIVER, *PURE} <= names


@pytest.mark.parametrize("layer", LAYERS)
def test_layers_import_only_what_stands_to_their_left(layer: str) -> None:
    """The bus imports no actor and the actors import no app, not even for types."""
    above = set(LAYERS[LAYERS.index(layer) + 1 :])
    upward = [
        f"{module.name} imports {name}"
        for module in modules()
        if module.within(layer)
        for name in module.imports
        if name.partition(".")[0] in {*above, "tests"}
    ]
    assert upward == []


def test_layers_only_the_driver_knows_the_database_library() -> None:
    """Only one module imports asyncpg, and only one trio-asyncio, and with it asyncio."""
    found = {module.name: module.imports_of(DATABASE_LIBRARIES) for module in modules()}
    importers = {name: libraries for name, libraries in found.items() if libraries}
    assert importers == {DRIVER: {"asyncpg"}, ISLAND: {"asyncio", "trio_asyncio"}}


def test_layers_only_app_knows_http() -> None:
    """Below the app no module imports an HTTP or a terminal library."""
    importers = [
        f"{module.name} imports {name}"
        for module in modules()
        if not module.within("app")
        for name in sorted(module.imports_of(HTTP_LIBRARIES | COMMAND_LIBRARIES))
    ]
    assert importers == []


def test_layers_only_http_knows_http_libraries() -> None:
    """Within the app the HTTP libraries stay in app.http."""
    importers = {module.name for module in modules() if module.imports_of(HTTP_LIBRARIES)}
    assert [name for name in importers if not name.startswith("app.http")] == []


def test_layers_only_the_demo_knows_the_client() -> None:
    """The server does not use its own client; the demo is a client."""
    importers = {module.name for module in modules() if module.imports_of({CLIENT})}
    assert importers
    assert [name for name in importers if not name.startswith("app.cli.demo")] == []


def test_layers_client_stands_alone() -> None:
    """The client installs without the server: it needs three libraries and the standard one."""
    client = modules_of(CLIENT)
    assert client
    imported = {name.partition(".")[0] for module in client for name in module.imports}
    assert imported - sys.stdlib_module_names == {CLIENT, *CLIENT_LIBRARIES}


def test_layers_bus_stands_alone() -> None:
    """The bus needs Trio and the standard library, nothing else."""
    foreign = {
        name.partition(".")[0]
        for module in modules()
        if module.within("bus")
        for name in module.imports
    } & {"msgspec", "structlog", *DATABASE_LIBRARIES, *HTTP_LIBRARIES, *COMMAND_LIBRARIES}
    assert foreign == set()


@pytest.mark.parametrize("package", PURE)
def test_layers_keep_the_rules_pure(package: str) -> None:
    """The rules import no Trio, no clock and no randomness, and await nothing."""
    asynchronous = (ast.Await, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith)
    impure: list[str] = []
    for module in modules():
        if module.within(package):
            impure += [f"{module.name} imports {x}" for x in module.imports_of(IMPURE_LIBRARIES)]
            impure += [
                f"{module.name} awaits in line {node.lineno}"
                for node in ast.walk(parse(module.path))
                if isinstance(node, asynchronous)
            ]
    assert impure == []


def test_layers_storage_and_authx_alone_reach_the_database() -> None:
    """Inventory, Ticker and supervision use no database driver: they go through Storage."""
    database = "actors.database."
    strangers = [
        f"{module.name} imports {name}"
        for module in modules()
        if module.within("actors.inventory", "actors.ticker", "actors.supervisor", "bus")
        for name in module.imports
        if name.startswith(database)
    ]
    assert strangers == []


@pytest.mark.parametrize(
    ("source", "imported"),
    [
        ("import app.http\n", "app.http"),
        ("from app import root\n", "app.root"),
        ("if TYPE_CHECKING:\n    from app.config import Config\n", "app.config.Config"),
        ("def f():\n    import app\n", "app"),
    ],
)
def test_layers_see_every_form_of_import(tmp_path: Path, source: str, imported: str) -> None:
    """An import counts wherever it stands, even under TYPE_CHECKING."""
    assert imported in list(imports(ast.parse(source), tmp_path / "x.py"))
