"""What loading a configuration promises: precedence, strictness, errors that name their source."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config import Config, ConfigError, load_config
from app.config.keys import all_keys

REPOSITORY = Path(__file__).resolve().parents[3]


def write(folder: Path, text: str) -> Path:
    """Write a configuration file."""
    file = folder / "config.toml"
    file.write_text(text)
    return file


def refusal(file: Path | None = None, **environ: str) -> str:
    """Load a file that must be refused; return the one line that says why."""
    with pytest.raises(ConfigError) as caught:
        load_config(file, environ=environ)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_load_without_sources_gives_the_defaults() -> None:
    """Without file, environment and options every key has its default."""
    assert load_config() == Config()


def test_load_of_the_shipped_file_gives_the_defaults() -> None:
    """The shipped config.toml matches what the program does without it."""
    loaded = load_config(REPOSITORY / "config.toml")
    assert loaded.http == Config().http
    assert loaded.world == Config().world
    assert loaded.storage.data_dir == str(REPOSITORY / "var")


def test_load_lets_the_later_source_win(tmp_path: Path) -> None:
    """File over default, environment over file, command line over environment."""
    file = write(tmp_path, "[http]\nport = 1\nbacklog = 1\nconnections_max = 1\n")
    environ = {"HOLDFAST_HTTP__PORT": "2", "HOLDFAST_HTTP__BACKLOG": "2"}
    http = load_config(file, environ=environ, options={"http.port": 3}).http
    assert (http.port, http.backlog, http.connections_max) == (3, 2, 1)
    assert http.reply_timeout_ms == Config().http.reply_timeout_ms


def test_load_lets_the_later_source_win_for_each_member_of_a_table(tmp_path: Path) -> None:
    """One world parameter in the environment leaves the others as the file has them."""
    file = write(tmp_path, "[world.parameters]\na = 1\nb = 2\n")
    environ = {"HOLDFAST_WORLD__PARAMETERS__B": "3", "HOLDFAST_WORLD__PARAMETERS__C": "4"}
    assert dict(load_config(file, environ=environ).world.parameters) == {"a": 1, "b": 3, "c": 4}
    assert dict(load_config(file).world.parameters) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("text", "named", "hint"),
    [
        ("[http]\nprot = 1\n", "http.prot: no such key", "did you mean http.port?"),
        ("[htpp]\nport = 1\n", "htpp: no such key", "did you mean http?"),
        ("port = 1\n", "port: no such key", ""),
        ("http = 1\n", "http: must be a table", ""),
        ("[http.port]\nx = 1\n", "http.port: must be a whole number", "a table"),
        ("[http]\nport = true\n", "http.port: must be a whole number", "not true"),
        ('[http]\nport = "5"\n', "http.port: must be a whole number", 'not "5"'),
        ("[http]\nport = 5.0\n", "http.port: must be a whole number", "not 5.0"),
        ("[http]\nport = 65536\n", "http.port: must be", "from 0 to 65535, not 65536"),
        ("[http]\nport = -1\n", "http.port: must be", "not -1"),
        ("[http]\nhost = 1\n", "http.host: must be a non-empty string", "not 1"),
        ('[http]\nhost = ""\n', "http.host: must be a non-empty string", ""),
        ("[world]\ntick_ms = 9\n", "world.tick_ms: must be", "from 10 to 60000, not 9"),
        ("[world]\nspeed = 0\n", "world.speed: must be a number above 0", "not 0"),
        ("[world]\nspeed = nan\n", "world.speed: must be a number", "not nan"),
        ("[world]\nspeed = true\n", "world.speed: must be a number", "not true"),
        ("[events]\nheartbeat_seconds = 21\n", "events.heartbeat_seconds: ", "to 20, not 21"),
        ("[events]\nheartbeat_seconds = 20.5\n", "events.heartbeat_seconds: ", "not 20.5"),
        ('[world.parameters]\na = "b"\n', "world.parameters.a: must be a number", 'not "b"'),
        ("[world.parameters]\na = inf\n", "world.parameters.a: must be a number", "not inf"),
        ("[world.parameters]\na = true\n", "world.parameters.a: must be a number", "not true"),
        ("[world]\nparameters = 1\n", "world.parameters: must be a table of numbers", "not 1"),
        ('[log]\nformat = "xml"\n', "log.format: must be one of", 'not "xml"'),
        ('[auth]\nkey = "abc"\n', "auth.key: is a secret", "HOLDFAST_AUTH__KEY"),
        ("[http]\nport = [1]\n", "http.port: must be a whole number", "not a list"),
        (f"[http]\nport = 0x1{'0' * 4000}\n", "http.port: must be", "not an integer of more than"),
        (f"[world]\nspeed = 0x1{'0' * 4000}\n", "world.speed: must be", "not an integer of more"),
        (f"[world.parameters]\na = 1{'0' * 400}\n", "world.parameters.a: must be a number", "64"),
        (f"[http]\nport = 1{'0' * 5000}\n", "is not TOML", ""),
        (f"a = {'[' * 5000}\n", "is not TOML", ""),
        ('[storage]\ndata_dir = "~nobody-here/a"\n', "storage.data_dir: must be a path", "home"),
        ("[shutdown]\nhttp_ms = 4500\n", "shutdown.http_ms: ", "at most 4500 ms"),
        (f'[auth]\nissuer = "{"x" * 201}"\n', "auth.issuer: ", "a string of 1 to 200 characters"),
        ('[world]\nname = ""\n', "world.name: ", "a string of 1 to 200 characters"),
        ('[http]\nhost = ""\n', "http.host: ", "a non-empty string"),
        (
            "[http]\nbodies_in_flight_max_bytes = 65535\n",
            "http.bodies_in_flight_max_bytes: ",
            "max_body_bytes",
        ),
        ("[auth]\nrefresh_seconds = 1\n", "auth.refresh_seconds: ", "auth.token_seconds"),
        ("[auth]\npassword_length_min = 200\n", "auth.password_length_max: ", "length_min"),
        (
            "[auth]\nargon2_parallelism = 64\nargon2_memory_kib = 100\n",
            "auth.argon2_memory_kib: ",
            "at least 512 (8 times auth.argon2_parallelism), not 100",
        ),
        ("[supervisor]\nbackoff_max_ms = 1\n", "supervisor.backoff_max_ms: ", "backoff_ms"),
    ],
)
def test_load_refuses_a_file_by_naming_file_and_key(
    tmp_path: Path, text: str, named: str, hint: str
) -> None:
    """An unknown key, a wrong type or a value out of range is one line with file and key."""
    file = write(tmp_path, text)
    told = refusal(file)
    assert told.startswith(f"{file}: {named}")
    assert hint in told


@pytest.mark.parametrize(
    ("setting", "value", "named"),
    [
        ("AUTH__PASSWORD_LENGTH_MIN", "200", "auth.password_length_max: must be at least 200"),
        (
            "HTTP__MAX_BODY_BYTES",
            "65537",
            "http.bodies_in_flight_max_bytes: must be at least 65537",
        ),
        ("SHUTDOWN__DATABASE_MS", "4000", "shutdown.http_ms: the phases add up to 6750 ms"),
    ],
)
def test_load_names_where_a_key_of_a_refused_combination_is_set(
    tmp_path: Path, setting: str, value: str, named: str
) -> None:
    """Other keys of the section are set elsewhere; none of them is what has to be changed."""
    file = write(
        tmp_path, '[http]\nbodies_in_flight_max_bytes = 65536\n[auth]\nissuer = "somebody"\n'
    )
    told = refusal(file, HOLDFAST_AUTH__ISSUER="me", **{f"HOLDFAST_{setting}": value})
    source = str(file) if setting.startswith("HTTP") else f"HOLDFAST_{setting}"
    assert told.startswith(f"{source}: {named}")


@pytest.mark.parametrize(
    "path", ["http.first_byte_timeout_ms", "http.reply_timeout_ms", "storage.query_timeout_ms"]
)
def test_load_refuses_a_time_in_which_nothing_is_done(tmp_path: Path, path: str) -> None:
    """Whoever takes milliseconds for seconds learns it at once, not from refused players."""
    section, _, name = path.partition(".")
    told = refusal(write(tmp_path, f"[{section}]\n{name} = 10\n"))
    assert told.endswith(f"{path}: must be a whole number from 100 to 600000, not 10")


def test_load_refuses_a_file_that_is_missing(tmp_path: Path) -> None:
    """A missing file is named, not treated as empty."""
    file = tmp_path / "none.toml"
    assert refusal(file) == f"{file}: cannot be read: No such file or directory"


def test_load_refuses_a_file_that_is_no_toml(tmp_path: Path) -> None:
    """A broken file is refused with the line of the error."""
    assert "is not TOML" in refusal(write(tmp_path, "[http\n"))
    assert "line 1" in refusal(write(tmp_path, "[http\n"))
    assert "is not TOML" in refusal(write(tmp_path, f"[http]\nport = {'9' * 5000}\n"))
    assert "is not TOML" in refusal(write(tmp_path, f"[http]\nport = {'[' * 20_000}\n"))


def test_load_passes_over_a_byte_order_mark(tmp_path: Path) -> None:
    """The byte order mark that some editors write is not part of the file."""
    file = write(tmp_path, "")
    file.write_bytes(b"\xef\xbb\xbf[http]\nport = 5\n")
    assert load_config(file).http.port == 5


def test_load_names_the_folder_of_a_file_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bare name would not say which of several files it was."""
    (tmp_path / "folder.toml").mkdir()
    monkeypatch.chdir(tmp_path)
    told = refusal(Path("folder.toml"))
    assert told == f"{tmp_path}/folder.toml: cannot be read: Is a directory"


def test_load_refuses_a_file_that_is_no_text(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are refused in plain words."""
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xff\xfe\x00")
    assert refusal(file) == f"{file}: is not UTF-8 text"


@pytest.mark.parametrize("path", [path for path, key in all_keys().items() if key.path_kind])
def test_load_refuses_a_path_that_no_file_can_have(tmp_path: Path, path: str) -> None:
    """A NUL, which ends names for the system, is reported with its key before a file is opened."""
    section, _, name = path.partition(".")
    file = write(tmp_path, f'[{section}]\n{name} = "a\\u0000b"\n')
    assert refusal(file).startswith(f"{file}: {path}: must be a path, not ")


@pytest.mark.parametrize("path", [path for path, key in all_keys().items() if key.path_kind])
def test_load_refuses_a_home_that_is_not_known(path: str) -> None:
    """Nobody's home directory, or that of a user without one, is reported with its key."""
    variable = all_keys()[path].variable
    told = refusal(None, **{variable: "~nobody-of-this-name/x.toml"})
    assert told.startswith(f"{variable}: {path}: must be a path, not ")
    assert told.endswith("that home directory is not known")


def test_load_shortens_a_long_value_in_its_refusal(tmp_path: Path) -> None:
    """However long the value, the refusal stays one readable line."""
    assert len(refusal(write(tmp_path, f'[http]\nport = "{"x" * 5000}"\n'))) < 400


def test_load_resolves_paths_of_the_file_against_its_folder(tmp_path: Path) -> None:
    """A relative path means the same wherever the server is started."""
    text = '[storage]\ndata_dir = "data"\n[auth]\nkey_file = "k"\n[world]\nruleset = "my.toml"\n'
    config = load_config(write(tmp_path, text))
    assert config.storage.data_dir == str(tmp_path / "data")
    assert config.auth.key_file == str(tmp_path / "k")
    assert config.world.ruleset == str(tmp_path / "my.toml")


def test_load_resolves_paths_of_the_environment_against_the_working_directory(
    tmp_path: Path,
) -> None:
    """A path given in a shell is relative to the shell's working directory."""
    environ = {"HOLDFAST_STORAGE__DATA_DIR": "data", "HOLDFAST_WORLD__RULESET": "./my.toml"}
    config = load_config(write(tmp_path, ""), environ=environ)
    assert config.storage.data_dir == "data"
    assert config.world.ruleset == "my.toml"


def test_load_leaves_names_and_absolute_paths_alone(tmp_path: Path) -> None:
    """A shipped ruleset's name is not a path; absolute and empty paths are left alone."""
    absolute = str(tmp_path / "elsewhere")
    text = f'[storage]\ndata_dir = "{absolute}"\n[world]\nruleset = "ogame"\n'
    config = load_config(write(tmp_path, text))
    assert config.storage.data_dir == absolute
    assert config.world.ruleset == "ogame"
    assert not config.auth.key_file


def test_load_keeps_whole_numbers_whole(tmp_path: Path) -> None:
    """Rules compute exactly: speed 1 is the integer, 0.5 the float."""
    file = write(tmp_path, "[world]\nspeed = 1\n[world.parameters]\na = 2\nb = 2.5\n")
    world = load_config(file).world
    assert repr(world.speed) == "1"
    assert repr(dict(world.parameters)) == "{'a': 2, 'b': 2.5}"


def test_load_refuses_an_option_by_its_name() -> None:
    """A wrong value on the command line is attributed to the command line."""
    with pytest.raises(ConfigError, match=r"^--port: http\.port: must be a whole number"):
        load_config(options={"http.port": 70_000})


def test_config_keeps_the_key_beside_the_data_unless_told_otherwise(tmp_path: Path) -> None:
    """One folder holds everything a server has, unless key_file says otherwise."""
    assert load_config().key_path == Path("var/token.key")
    file = write(tmp_path, '[auth]\nkey_file = "keys/mine"\n')
    assert load_config(file).key_path == tmp_path / "keys" / "mine"
