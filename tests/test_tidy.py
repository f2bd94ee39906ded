"""The style as a test: rules that no linter checks, or that must not be switched off casually."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from itertools import chain
from typing import TYPE_CHECKING

import pytest

from app import __version__
from tests.sources import ROOT, parse

if TYPE_CHECKING:
    from pathlib import Path

PRODUCT = ("bus", "actors", "app", "rulesets", "holdfast_client")
FILE_LINES_MAX = 400
TEST_FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
EXTRAS = ("charts", "otel")
LOCKS = ("run.txt", "dev.txt")
PINNED = r"([a-z0-9-]+)(?:\[[a-z0-9,-]+\])?=="

SOURCES = tuple(
    path
    for folder in (*PRODUCT, "tests", "bench", "docs", "examples", "requirements")
    for path in sorted((ROOT / folder).rglob("*.py"))
)
PRODUCT_SOURCES = tuple(path for path in SOURCES if path.relative_to(ROOT).parts[0] in PRODUCT)
TEXTS = (
    *SOURCES,
    *(path for path in (ROOT / "rulesets").glob("*.toml")),
    *(path for path in (ROOT / "actors").rglob("*.sql")),
    *(path for path in (ROOT / "docs").rglob("*.md")),
    *(path for path in ROOT.glob("*.md")),
    *(ROOT / name for name in ("Makefile", "pyproject.toml", "config.toml", ".ci/run")),
)

# Assembled here, so that this file does not match itself.
MARKERS = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + ")")
MACHINE_PATHS = re.compile(r"(?<![\w.$])/(home|root|Users|work|opt|mnt)/\w")
INDEX_WORDS = ("://", "--index", "--extra-index", "--find-links", "file:", "--trusted-host")
READ_ONLY = re.compile(r"\b(Mapping|Sequence|AbstractSet|Collection)\[")
CONTAINERS = {"list", "dict", "set", "deque", "defaultdict", "OrderedDict", "Counter", "bytearray"}


def name(path: Path) -> str:
    """Return a file's path relative to the project's root."""
    return str(path.relative_to(ROOT))


def test_tidy_looks_at_something() -> None:
    """The rules below apply to the real tree."""
    assert len(PRODUCT_SOURCES) > 20
    assert all(path.exists() for path in TEXTS)


def test_tidy_files_are_short() -> None:
    """A file is one concept: at most 400 lines, or 600 of tests."""
    found: dict[str, int] = {}
    for path in SOURCES:
        count = len(path.read_text().splitlines())
        is_test = path.relative_to(ROOT).parts[0] == "tests"
        if count > (TEST_FILE_LINES_MAX if is_test else FILE_LINES_MAX):
            found[name(path)] = count
    assert found == {}


def test_tidy_functions_are_short() -> None:
    """A function has at most 70 lines, so that it can be read in one go."""
    found: list[str] = []
    for path in SOURCES:
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES_MAX:
                    found.append(f"{name(path)}:{node.lineno} {node.name} has {length} lines")
    assert found == []


def test_tidy_packages_are_packages() -> None:
    """Every folder with Python in it has an __init__.py, so that all of it is installed."""
    folders = {path.parent for path in PRODUCT_SOURCES}
    assert [name(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_tidy_nothing_is_left_for_later() -> None:
    """No markers of unfinished work."""
    found = [name(path) for path in TEXTS if MARKERS.search(path.read_text(encoding="utf-8"))]
    assert found == []


def test_tidy_no_path_of_a_machine() -> None:
    """Nothing depends on where a particular machine keeps its files."""
    found = [
        f"{name(path)}: {line.strip()}"
        for path in TEXTS
        for line in path.read_text(encoding="utf-8").splitlines()
        if MACHINE_PATHS.search(line)
    ]
    assert found == []


def test_tidy_no_mutable_module_state() -> None:
    """No module holds mutable state: its containers are immutable."""
    found: list[str] = []
    for path in PRODUCT_SOURCES:
        tree = parse(path)
        found += [
            f"{name(path)}:{node.lineno} {ast.unparse(node)[:60]}"
            for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign) and keeps_state(node)
        ]
        found += [
            f"{name(path)}:{node.lineno} has a global statement"
            for node in ast.walk(tree)
            if isinstance(node, ast.Global)
        ]
    assert found == []


def keeps_state(node: ast.Assign | ast.AnnAssign) -> bool:
    """Return whether a module's assignment binds something that can be changed later.

    A literal counts as immutable where its annotation makes type checkers reject a change.
    """
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    if [ast.unparse(target) for target in targets] == ["__all__"]:
        return False
    if isinstance(node, ast.AnnAssign) and READ_ONLY.search(ast.unparse(node.annotation)):
        return False
    match node.value:
        case ast.List() | ast.Dict() | ast.Set() | ast.ListComp() | ast.DictComp() | ast.SetComp():
            return True
        case ast.Call(func=function):
            return ast.unparse(function).rpartition(".")[2] in CONTAINERS
        case _:
            return False


@pytest.mark.parametrize(
    ("source", "changes"),
    [
        ("cache = {}", True),
        ("CACHE: dict[str, int] = {}", True),
        ("QUEUE = collections.deque()", True),
        ("NAMES = [name for name in x]", True),
        ("NAMES: Final[Mapping[str, int]] = {}", False),
        ("NAMES = MappingProxyType({})", False),
        ("NAMES = (1, 2)", False),
        ("NAMES = frozenset({1})", False),
        ("__all__ = ['a']", False),
    ],
)
def test_tidy_tells_state_from_constants(source: str, changes: bool) -> None:
    """The rule above finds a mutable container, and accepts constants."""
    (node,) = ast.parse(source).body
    assert isinstance(node, ast.Assign | ast.AnnAssign)
    assert keeps_state(node) is changes


def test_tidy_linter_is_kept_to_its_rules() -> None:
    """Public code and tests have docstrings; a comment that silences a checker names the rule."""
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert lint["select"] == ["ALL"]
    ignored = {*lint["ignore"], *chain(*lint["per-file-ignores"].values())}
    about_that = {code for code in ignored if code.startswith(("D1", "PGH", "RUF"))}
    assert about_that == {"D107"}  # The class docstring describes the arguments.


@pytest.mark.parametrize("lock", [*LOCKS, "bench.txt", "binary.txt", "browser.txt", "docs.txt"])
def test_tidy_lock_names_packages_and_hashes_only(lock: str) -> None:
    """A lock pins every package with its hashes, and names no download location."""
    lines = (ROOT / "requirements" / lock).read_text().splitlines()
    entries = [line for line in lines if line and not line.startswith((" ", "#"))]
    assert len(entries) > 20
    assert [line for line in entries if not re.match(rf"{PINNED}[^ ]+ ", line)] == []
    assert [line for line in lines if any(word in line for word in INDEX_WORDS)] == []
    text = "\n".join(lines)
    unhashed = [
        line for line in re.split(r"\n(?=\w)", text) if "==" in line and "sha256" not in line
    ]
    assert unhashed == []


def test_tidy_both_locks_agree() -> None:
    """The tests run with the same versions as a server."""
    pinned = [
        dict(
            re.findall(rf"^{PINNED}(\S+)", (ROOT / "requirements" / lock).read_text(), re.MULTILINE)
        )
        for lock in LOCKS
    ]
    run, dev = pinned
    assert run.items() <= dev.items()


def test_tidy_lock_has_every_dependency() -> None:
    """A dependency added without `make lock` fails here, not at a user."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted: dict[str, list[str]] = {
        "run.txt": project["dependencies"],
        "dev.txt": project["optional-dependencies"]["dev"],
        "docs.txt": project["optional-dependencies"]["docs"],
    }
    for lock, requirements in wanted.items():
        locked = (ROOT / "requirements" / lock).read_text()
        for requirement in requirements:
            # With its extras: the pip of Debian 12 requires them.
            package = re.split(r"[^\w\[\],-]", requirement)[0]
            is_there = any(f"\n{package}{end}" in f"\n{locked}" for end in ("==", "["))
            assert is_there, f"{package} is not in {lock}: run make lock"


def test_tidy_every_import_is_a_dependency() -> None:
    """Every import is declared: a transitive dependency may disappear with an upgrade."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *chain(*map(project["optional-dependencies"].get, EXTRAS))]
    declared = {re.split(r"[^\w-]", requirement)[0] for requirement in wanted}
    packages = packages_distributions()
    for path in PRODUCT_SOURCES:
        for name in imported(path) - sys.stdlib_module_names - {*PRODUCT}:
            carriers = {each.lower().replace("_", "-") for each in packages.get(name, [])}
            assert declared & carriers, f"{path}: {name} is not declared"


def imported(path: Path) -> set[str]:
    """Return the top-level names that a source imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            names.update(each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names


def test_tidy_source_archive_has_all_that_make_needs() -> None:
    """The archive has all that `make` needs: its README and repackaging begin with make."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    packed = build["targets"]["sdist"]["include"]
    told = "".join(
        (ROOT / each).read_text() for each in ("Makefile", "README.md", "docs/deploy.md")
    )
    folders = {each.name for each in ROOT.iterdir() if each.is_dir() and each.name[0] != "."}
    # Build output is excluded; pyproject.toml is always included.
    needed = {each for each in folders - {"build", "dist", "htmlcov", "var"} if f"{each}/" in told}
    assert {f"/{each}" for each in needed | {"Makefile"}} <= set(packed)


def test_tidy_version_is_one() -> None:
    """The program reports the version that it is packaged as."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
