"""A folder as a site: addresses by digest, validators, strict headers, and a page that is light."""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING

import pytest

from app.pages import SiteError, load_site

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from app.pages import File

PLAY_BYTES_MAX = 120_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a site of one page and one script."""
    (tmp_path / "index.html").write_text('<script src="/play/{digest}/main.js"></script>')
    (tmp_path / "main.js").write_text("main")
    (tmp_path / "nested").mkdir()
    return tmp_path


def headers(file: File) -> dict[str, str]:
    """Give the headers by name."""
    return {name.decode(): value.decode() for name, value in file.headers}


def script_path(site: Mapping[str, File]) -> str:
    """Give the path of the only file beside the page."""
    (path,) = site.keys() - {"/"}
    return path


def test_site_names_its_files_by_the_digest_of_all(folder: Path) -> None:
    """The page names the very paths that answer, and any change gives all files new ones."""
    before = load_site(folder)
    path = script_path(before)
    assert path.encode() in before["/"].body
    assert before[path].body == b"main"
    (folder / "main.js").write_text("other")
    assert script_path(load_site(folder)) != path


def test_site_lets_browsers_keep_files_but_ask_for_the_page(folder: Path) -> None:
    """The page is validated each time; the others never change under their path."""
    site = load_site(folder)
    assert headers(site["/"])["cache-control"] == "no-cache"
    assert "immutable" in headers(site[script_path(site)])["cache-control"]


@pytest.mark.parametrize(
    ("sent", "held"),
    [
        ([], False),
        ([b'"other"'], False),
        ([b"*"], True),
        ([b"%s"], True),
        ([b'"other", W/%s'], True),
        ([b'"other"', b"%s"], True),
    ],
)
def test_file_knows_its_validator(folder: Path, sent: list[bytes], held: bool) -> None:
    """Whoever names its tag, weakened or among others, has the file."""
    file = load_site(folder)["/"]
    assert file.is_held([value.replace(b"%s", file.etag) for value in sent]) is held


def test_every_file_is_sent_with_strict_headers() -> None:
    """Nothing from elsewhere, nothing inline, in nobody's frame, under no other type."""
    for file in load_site().values():
        sent = headers(file)
        policy = sent["content-security-policy"].split("; ")
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in sent["content-security-policy"]
        assert sent["x-content-type-options"] == "nosniff"
        assert sent["referrer-policy"] == "no-referrer"
        assert sent["etag"].startswith('"')


def test_site_without_a_page_is_refused(tmp_path: Path) -> None:
    """A folder without index.html says so."""
    with pytest.raises(SiteError, match=r"there is no index\.html"):
        load_site(tmp_path)


def test_site_refuses_a_file_of_unknown_kind(folder: Path) -> None:
    """A file that would go out under a guessed type is refused by name."""
    (folder / "notes.txt").write_text("")
    with pytest.raises(SiteError, match=r"notes\.txt"):
        load_site(folder)


def test_page_to_play_is_light_and_stands_alone() -> None:
    """All of it is small, names no address outside the server, and imports what is there."""
    play = {
        item.name: item.read_text(encoding="utf-8")
        for item in (resources.files("app.pages") / "play").iterdir()
    }
    assert sum(len(text.encode()) for text in play.values()) < PLAY_BYTES_MAX
    for name, text in play.items():
        addresses = set(re.findall(r"https?://[^\s\"'<>]+", text))
        assert addresses <= {"http://www.w3.org/2000/svg"}, name
        assert set(re.findall(r'from "\./([^"]+)"', text)) <= play.keys(), name
        assert not re.search(r"innerHTML|\bstyle=|\bon\w+=\"", text), name
