"""What is checked of the configuration as it is loaded: each fault names source and key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.config import ConfigError, load_config
from app.settings import authx_settings, check_settings, http_settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[http]\ntrusted_proxies = "foo"\n', "http.trusted_proxies: 'foo' does not appear"),
        ('[http]\nexempt_addresses = "10.0.0.1/8"\n', "http.exempt_addresses: 10.0.0.1/8 has"),
        ('[http]\ntls_key = "k"\n', "http.tls_key: needs http.tls_certificate as well"),
        ('[http]\ntls_certificate = "c"\n', "http.tls_certificate: needs http.tls_key as well"),
        ('[world]\nrenamed = "foo"\n', "world.renamed: must be \"old=new, old=new, …\", not 'foo'"),
        (
            '[world]\nrenamed = "farm=ranch, farm=depot"\n',
            "world.renamed: gives farm two new names, ranch and depot",
        ),
        ('[http]\ncors_origins = "foo"\n', "http.cors_origins: must be origins"),
        (
            "[world]\nspeed = 2\n[world.parameters]\nspeed = 1\n",
            "world.speed: is set in world.parameters too",
        ),
        *(
            (f'[tracing]\nendpoint = "{text}"\n', "tracing.endpoint: must be a URL, like")
            for text in ("localhost:4318", " ", "grpc://a:4317", "http://", "http://[::1", "//a")
        ),
        ('[tracing]\nendpoint = "http://a:65536/v1/traces"\n', "tracing.endpoint: must be a URL"),
    ],
)
def test_settings_are_checked_with_the_file(tmp_path: Path, text: str, named: str) -> None:
    """What only one part of the program can judge is refused like any other fault in the file."""
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(file, check=check_settings)
    assert str(caught.value).startswith(f"{file}: {named}")


def test_settings_of_the_environment_name_their_variable() -> None:
    """An invalid token key is reported by its variable, and is not shown."""
    environ = {"HOLDFAST_AUTH__KEY": "garbage"}
    with pytest.raises(ConfigError) as caught:
        load_config(environ=environ, check=check_settings)
    assert str(caught.value).startswith("HOLDFAST_AUTH__KEY: auth.key: line 1 is not a key")
    assert "garbage" not in str(caught.value)


@pytest.mark.parametrize(("said", "registration_open"), [("open", True), ("closed", False)])
def test_registration_is_open_or_closed(said: str, registration_open: bool) -> None:
    """Authx learns which of the two words is set, and the registration limit per address."""
    environ = {
        "HOLDFAST_AUTH__REGISTRATION": said,
        "HOLDFAST_AUTH__REGISTRATIONS_PER_ADDRESS": "7",
    }
    told = authx_settings(load_config(environ=environ))
    assert (told.registration_open, told.registrations_per_address) == (registration_open, 7)


@pytest.mark.parametrize("url", ["http://localhost:4318/v1/traces", "https://u:p@[::1]/x?y=z"])
def test_traces_may_be_sent_to_any_server(url: str) -> None:
    """A URL of HTTP with a host is accepted as it is."""
    load_config(environ={"HOLDFAST_TRACING__ENDPOINT": url}, check=check_settings)


def test_settings_at_their_defaults_are_sound() -> None:
    """A configuration that sets nothing passes."""
    check_settings(load_config(check=check_settings))


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "null",
        "https://play.example.org",
        "http://localhost:5173",
        "http://127.0.0.1:5173",
        "http://[::1]:5173",
        "http://[fe80::80]",
        "http://a.org:443",
        "https://a.org:80",
        "https://a.org:8443",
        "capacitor://localhost",
    ],
)
def test_settings_take_sites_as_browsers_name_them(origin: str) -> None:
    """Every form of origin that a browser sends can be allowed."""
    config = load_config(environ={"HOLDFAST_HTTP__CORS_ORIGINS": f" {origin} , https://b.org,"})
    assert http_settings(config).cors_origins == {origin, "https://b.org"}


@pytest.mark.parametrize(
    "origin",
    [
        "foo",
        "play.example.org",
        "https://a.org/",
        "https://A.org",
        "//a.org",
        "https://a.org b",
        "**",
        "https://a.org:443",
        "http://a.org:80",
        "http://[::1]:80",
        "https://a.org:0443",
        "https://a.org:123456",
    ],
)
def test_settings_refuse_sites_that_no_browser_names(origin: str) -> None:
    """An entry that could match nothing is an error, and is named."""
    config = load_config(environ={"HOLDFAST_HTTP__CORS_ORIGINS": f"https://b.org, {origin}"})
    with pytest.raises(ConfigError, match="as browsers send them") as caught:
        http_settings(config)
    assert str(caught.value).endswith(f'not "{origin}"')


@pytest.mark.parametrize(("said", "seconds"), [("0", None), ("90", 90 * 86_400)])
def test_settings_limit_sessions_in_days(said: str, seconds: int | None) -> None:
    """The limit is configured in days and applied in seconds; 0 is no limit."""
    told = authx_settings(load_config(environ={"HOLDFAST_AUTH__SESSION_DAYS_MAX": said}))
    assert told.session_seconds_max == seconds
