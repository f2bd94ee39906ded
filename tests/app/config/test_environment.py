"""What settings from the environment promise: every key, typed by the key, no typo unseen."""

from __future__ import annotations

import pytest

from app.config import Config, ConfigError, ignored_variables, load_config
from app.config.keys import Key, all_keys


def load(**environ: str) -> Config:
    """Load from these variables alone."""
    return load_config(environ=environ)


def another(key: Key) -> str:
    """Return a value for the key that differs from its default."""
    if key.text:
        choices: tuple[str, ...] = getattr(key.shape, "values", ())
        return next((choice for choice in choices if choice != key.default), "other")
    if key.switch:
        return "false" if key.default else "true"
    return str(int(str(key.default)) + 1) if key.default else "1"


@pytest.mark.parametrize("path", [path for path, key in all_keys().items() if not key.table])
def test_environment_sets_every_key(path: str) -> None:
    """Each key of the file has a variable that sets that key and no other."""
    key = all_keys()[path]
    # The one default that leaves no room below the sum of the shutdown's phases.
    text = "1" if key.section == "shutdown" else another(key)
    config = load(**{key.variable: text})
    value = getattr(getattr(config, key.section), key.name)
    assert value != key.default
    for other in all_keys().values():
        if other.path != path:
            assert getattr(getattr(config, other.section), other.name) == other.default


def test_environment_types_by_the_key() -> None:
    """A number stays text if the key takes text, and is a number if it takes one."""
    config = load(HOLDFAST_WORLD__NAME="5", HOLDFAST_WORLD__SPEED="5", HOLDFAST_HTTP__PORT="5")
    assert config.world.name == "5"
    assert config.world.speed == config.http.port == 5


def test_environment_sets_members_of_a_table() -> None:
    """A world parameter is set by the table's variable, two underscores, and its name."""
    world = load(
        HOLDFAST_WORLD__PARAMETERS__TEMPERATURE="-20",
        HOLDFAST_WORLD__PARAMETERS__RICH="1.5",
        HOLDFAST_WORLD__PARAMETERS__A__B_="3",
    ).world
    assert dict(world.parameters) == {"temperature": -20, "rich": 1.5, "a__b_": 3}


@pytest.mark.parametrize(
    ("variable", "text", "told"),
    [
        ("HOLDFAST_HTTP__PORT", "x", 'http.port: must be a whole number from 0 to 65535, not "x"'),
        ("HOLDFAST_HTTP__PORT", "", 'http.port: must be a whole number from 0 to 65535, not ""'),
        ("HOLDFAST_HTTP__PORT", "5.0", "not 5.0"),
        ("HOLDFAST_HTTP__PORT", " 5", 'not " 5"'),
        ("HOLDFAST_HTTP__PORT", "\N{ARABIC-INDIC DIGIT FIVE}", "must be a whole number"),
        ("HOLDFAST_WORLD__SPEED", "inf", "must be a number"),
        ("HOLDFAST_WORLD__SPEED", "1e999", "must be a number"),
        ("HOLDFAST_HTTP__PROT", "1", "no such setting; did you mean HOLDFAST_HTTP__PORT?"),
        ("HOLDFAST_HTTP_PORT", "1", "no such setting; did you mean HOLDFAST_HTTP__PORT?"),
        ("HOLDFAST_NOWHERE__AT_ALL", "1", "no such setting"),
        ("HOLDFAST_WORLD__PARAMETERS", "1", "HOLDFAST_WORLD__PARAMETERS__NAME=number"),
        ("HOLDFAST_WORLD__PARAMETERS__A", "b", 'world.parameters.a: must be a number, not "b"'),
        ("HOLDFAST_WORLD__PARAMETERS__", "1", "no such setting"),
        # As Python passes on bytes that are not UTF-8, here "\xf6" in Latin-1.
        ("HOLDFAST_WORLD__NAME", "K\udcf6ln", "world.name: is not UTF-8 text"),
        ("HOLDFAST_HTTP__PORT", "\udcf6", "http.port: is not UTF-8 text"),
        ("HOLDFAST_WORLD__PARAMETERS__A", "\udcf6", "world.parameters.a: must be a number"),
        ("HOLDFAST_STORAGE__DATA_DIR", "~nobody-here/a", '"~nobody-here/a": that home'),
    ],
)
def test_environment_refuses_by_naming_the_variable(variable: str, text: str, told: str) -> None:
    """A value of the wrong type or a misspelt name is an error that names the variable."""
    with pytest.raises(ConfigError) as caught:
        load(**{variable: text})
    assert str(caught.value).startswith(f"{variable}: ")
    assert told in str(caught.value)


def test_environment_leaves_other_variables_alone() -> None:
    """Variables that are not settings are ignored."""
    assert load(PATH="/bin", HOLDFAST_CONFIG="x.toml", HOLDFASTER__X="1") == Config()


OF_KUBERNETES = {
    "HOLDFAST_DATABASE_SERVICE_HOST": "10.0.0.5",
    "HOLDFAST_DATABASE_SERVICE_PORT": "5432",
    "HOLDFAST_DATABASE_SERVICE_PORT_POSTGRES": "5432",
    "HOLDFAST_DATABASE_PORT": "tcp://10.0.0.5:5432",
    "HOLDFAST_DATABASE_PORT_5432_TCP": "tcp://10.0.0.5:5432",
    "HOLDFAST_DATABASE_PORT_5432_TCP_PROTO": "tcp",
    "HOLDFAST_DATABASE_PORT_5432_TCP_PORT": "5432",
    "HOLDFAST_DATABASE_PORT_5432_TCP_ADDR": "10.0.0.5",
    "HOLDFAST_HTTP_PORT": "tcp://[fd00::5]:8470",
    "HOLDFAST_HTTP_PORT_8470_UDP": "udp://[fd00::5]:8470",
}
"""What every container gets next to services named holdfast-database and holdfast-http."""


def test_environment_leaves_services_of_kubernetes_alone() -> None:
    """A service named like a section does not keep the server from starting."""
    assert load(**OF_KUBERNETES) == Config()
    assert len(ignored_variables(OF_KUBERNETES)) == len(OF_KUBERNETES)


@pytest.mark.parametrize(
    ("variable", "named"),
    [
        ("HOLDFAST_PORT", "HOLDFAST_PORT (did you mean HOLDFAST_HTTP__PORT?)"),
        ("HOLDFAST_RULSET", "HOLDFAST_RULSET (did you mean HOLDFAST_WORLD__RULESET?)"),
        ("HOLDFAST_QQQQQQQQQQQQQQQQ", "HOLDFAST_QQQQQQQQQQQQQQQQ"),
    ],
)
def test_environment_names_what_it_ignores(variable: str, named: str) -> None:
    """A variable with a setting's prefix that is no setting is reported with a suggestion."""
    assert ignored_variables({variable: "1", "PATH": "/bin"}) == [named]


def test_environment_ignores_no_setting_and_nothing_of_the_program() -> None:
    """A variable that is read, here or elsewhere, is not reported."""
    used = ["HOLDFAST_CONFIG", "HOLDFAST_UNPACK_DIR", "HOLDFAST_HTTP__PORT", "HOLDFAST_X__Y"]
    assert ignored_variables(dict.fromkeys(used, "1")) == []


def test_environment_never_shows_a_secret() -> None:
    """The key reaches the code that needs it, and no message or representation."""
    config = load(HOLDFAST_AUTH__KEY="hush-hush")
    assert config.auth.key.reveal() == "hush-hush"
    assert "hush-hush" not in f"{config!r} {config.auth.key!s}"
