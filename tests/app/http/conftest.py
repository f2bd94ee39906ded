"""Fixtures shared by the tests of the HTTP front."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trustme

from tests.app.http import harness

if TYPE_CHECKING:
    from pathlib import Path

    from app.http.settings import HttpSettings


@pytest.fixture(params=[harness.FAST, harness.HYPERCORN])
def lane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test through each lane; return the lane's name."""
    name: str = request.param
    monkeypatch.setattr(harness, "LANE", name)
    return name


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Make one authority for all tests."""
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture
def tls_settings(authority: trustme.CA, tmp_path: Path) -> HttpSettings:
    """Return settings with a certificate for localhost."""
    certificate = authority.issue_cert("localhost", key_type=trustme.KeyType.ECDSA)
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "key.pem").chmod(0o600)
    return replace(harness.SETTINGS, tls=(tmp_path / "cert.pem", tmp_path / "key.pem"))
