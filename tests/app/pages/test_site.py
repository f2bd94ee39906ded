"""Folders as a site: addresses by digest, validators, strict headers, and light pages."""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING

import pytest

from app.pages import SiteError, load_site
from app.pages.site import FOLDERS, PAGES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from app.pages import File

BYTES_MAX = {"play": 140_000, "console": 143_000}
"""The maximum size of a page, with everything it shares with others."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a site whose pages share one script."""
    for folder in FOLDERS:
        (tmp_path / folder).mkdir()
    for folder in PAGES:
        page = tmp_path / folder / "index.html"
        page.write_text('<script src="/pages/{digest}/shared/main.js"></script>')
    (tmp_path / "shared" / "main.js").write_text("main")
    (tmp_path / "shared" / "nested").mkdir()
    return tmp_path


def headers(file: File) -> dict[str, str]:
    """Return the headers by name."""
    return {name.decode(): value.decode() for name, value in file.headers}


def script_path(site: Mapping[str, File]) -> str:
    """Return the path of the only file beside the pages."""
    (path,) = site.keys() - set(PAGES.values())
    return path


def test_site_names_its_files_by_the_digest_of_all(root: Path) -> None:
    """Each page names exactly the paths that exist, and any change gives all files new ones."""
    before = load_site(root)
    path = script_path(before)
    assert all(path.encode() in before[page].body for page in PAGES.values())
    assert before[path].body == b"main"
    (root / "shared" / "main.js").write_text("other")
    assert script_path(load_site(root)) != path


def test_site_lets_browsers_keep_files_but_ask_for_the_pages(root: Path) -> None:
    """The pages are revalidated each time; other files never change under their path."""
    site = load_site(root)
    for page in PAGES.values():
        assert headers(site[page])["cache-control"] == "no-cache"
    assert "immutable" in headers(site[script_path(site)])["cache-control"]


def test_every_file_is_sent_with_strict_headers() -> None:
    """Nothing from elsewhere, nothing inline, in no frame, under no other type."""
    for file in load_site().values():
        sent = headers(file)
        policy = sent["content-security-policy"].split("; ")
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in sent["content-security-policy"]
        assert sent["x-content-type-options"] == "nosniff"
        assert sent["referrer-policy"] == "no-referrer"
        assert sent["etag"].startswith('"')


@pytest.mark.parametrize("folder", PAGES)
def test_site_without_a_page_is_refused(root: Path, folder: str) -> None:
    """A folder without its index.html is named."""
    (root / folder / "index.html").unlink()
    with pytest.raises(SiteError, match=rf"{folder}: there is no index\.html"):
        load_site(root)


def test_site_refuses_a_page_that_nothing_leads_to(root: Path) -> None:
    """A page in a folder without a path of its own is an error."""
    (root / "shared" / "index.html").write_text("")
    with pytest.raises(SiteError, match=r"shared/index\.html: nothing leads"):
        load_site(root)


def test_site_refuses_a_file_of_unknown_kind(root: Path) -> None:
    """A file that would be sent under a guessed type is refused by name."""
    (root / "play" / "notes.txt").write_text("")
    with pytest.raises(SiteError, match=r"notes\.txt"):
        load_site(root)


def texts(*folders: str) -> dict[str, str]:
    """Read the files of some folders, by folder and name."""
    return {
        f"{folder}/{item.name}": item.read_text(encoding="utf-8")
        for folder in folders
        for item in (resources.files("app.pages") / folder).iterdir()
    }


@pytest.mark.parametrize("page", PAGES)
def test_page_is_light_and_stands_alone(page: str) -> None:
    """A page is small, names no address outside the server, and imports only existing files."""
    files = texts(page, "shared")
    assert sum(len(text.encode()) for text in files.values()) < BYTES_MAX[page]
    for name, text in files.items():
        addresses = set(re.findall(r"https?://[^\s\"'<>]+", text))
        assert addresses <= {"http://www.w3.org/2000/svg"}, name
        own = name.partition("/")[0]
        for imported in re.findall(r'from "([^"]+)"', text):
            near = imported.startswith("./")
            path = f"{own}/{imported[2:]}" if near else imported.removeprefix("../")
            assert path in files, f"{name} imports {imported}"
        assert not re.search(r"innerHTML|\bstyle=|\bon\w+=\"", text), name


@pytest.mark.parametrize("page", PAGES)
def test_page_names_files_that_are_there(page: str) -> None:
    """Every path with a digest that a page names exists."""
    site = load_site()
    named = set(re.findall(r'"(/pages/[^"#]+)', site[PAGES[page]].body.decode()))
    assert len(named) > 5
    assert named <= site.keys()


def test_pages_use_all_that_is_shared() -> None:
    """A file that only one page imports belongs to that page."""
    used = {
        page: set(re.findall(r"shared/([\w.]+)", " ".join(texts(page).values()))) for page in PAGES
    }
    among = set(re.findall(r'from "\./([\w.]+)"', " ".join(texts("shared").values())))
    for name in texts("shared"):
        users = [page for page in PAGES if name.removeprefix("shared/") in used[page] | among]
        assert len(users) == len(PAGES), name
