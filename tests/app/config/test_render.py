"""What the configuration file promises: complete, explained, and true."""

from __future__ import annotations

import tomllib
from itertools import pairwise
from pathlib import Path

from app.config import Config, load_config, render_config
from app.config.keys import all_keys

REPOSITORY = Path(__file__).resolve().parents[3]


def test_render_equals_the_shipped_file() -> None:
    """config.toml is the rendering of the definitions, so that neither can go stale."""
    assert (REPOSITORY / "config.toml").read_text() == render_config()


def test_render_has_every_key_with_its_default() -> None:
    """Every key is in the file with its default, except a secret, which may not be.

    One without a default is commented out.
    """
    parsed = tomllib.loads(render_config())
    for key in all_keys().values():
        if key.secret:
            assert key.name not in parsed[key.section]
            assert key.variable in render_config()
        elif key.default is None:
            assert key.name not in parsed[key.section]
            assert f"\n# {key.name} = " in render_config()
        else:
            assert parsed[key.section][key.name] == key.default


def test_render_explains_every_key() -> None:
    """A comment precedes each key, and no line exceeds the project's limit."""
    lines = render_config().splitlines()
    for before, line in pairwise(lines):
        assert len(line) <= 100
        if " = " in line and not line.startswith("#"):
            assert before.startswith("# ")


def test_render_gives_the_unit_of_a_number() -> None:
    """The unit of a number is clear without reading the code."""
    assert "# How long an idle connection is kept open. In milliseconds, 1 to 600000." in (
        render_config()
    )


def test_render_loads_back_to_the_defaults(tmp_path: Path) -> None:
    """The generated file changes nothing until it is edited."""
    file = tmp_path / "config.toml"
    file.write_text(render_config())
    loaded = load_config(file)
    assert loaded.http == Config().http
    assert loaded.shutdown == Config().shutdown
    assert loaded.log == Config().log
