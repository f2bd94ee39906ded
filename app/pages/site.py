"""The pages and their files, held in memory and served with strict headers.

The files are package data, served as they are: there is no build step. Each page is a folder, with
files shared by several pages in a folder beside them, so that scripts import each other by their
paths on disk. Every file's path contains a digest of all of them, so that a browser may cache it
for good and never mixes two versions; only the pages themselves, which name the digest, are
revalidated each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING

from app.etags import etag_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

ENTRY = "index.html"
"""The file that is the page itself; the page loads the others."""

DIGEST_MARK = b"{digest}"
"""Placeholder in a page for the digest."""

BELOW = "/pages"
"""Prefix of the paths of all files except the pages."""

PAGES: Mapping[str, str] = MappingProxyType({"play": "/", "console": "/console"})
"""The path of each folder's page; a folder that is not listed has no page."""

FOLDERS = ("shared", *PAGES)
"""The folders of the site."""

MEDIA_TYPES: Mapping[str, bytes] = MappingProxyType(
    {
        ".css": b"text/css; charset=utf-8",
        ".html": b"text/html; charset=utf-8",
        ".js": b"text/javascript; charset=utf-8",
        ".svg": b"image/svg+xml",
    }
)

CONTENT_SECURITY_POLICY = b"; ".join(
    (
        b"default-src 'self'",
        b"base-uri 'none'",
        # Scripts send the forms; without scripts nothing may be sent, least of all a password.
        b"form-action 'none'",
        b"frame-ancestors 'none'",
        b"object-src 'none'",
        b"require-trusted-types-for 'script'",
    )
)

SECURITY_HEADERS = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    # For browsers that do not support frame-ancestors.
    (b"x-frame-options", b"DENY"),
)

_REVALIDATE = b"no-cache"
_FOREVER = b"public, max-age=31536000, immutable"


class SiteError(Exception):
    """The files do not make a valid site; the text says why."""


@dataclass(frozen=True, slots=True)
class File:
    """One file ready to be sent: only the status is still open."""

    body: bytes
    etag: bytes
    headers: tuple[tuple[bytes, bytes], ...]


def load_site(root: Traversable | None = None) -> Mapping[str, File]:
    """Read the folders of a site, by the URL path of each file; the default root is this package.

    A folder's ``index.html`` is served at its path in `PAGES`, every other file at
    ``/pages/<digest>/<folder>/<name>``.

    Raises:
        SiteError: a page is missing or has no path, or a file's type is not served.
    """
    if root is None:
        root = resources.files("app.pages")
    bodies = {
        (folder, item.name): item.read_bytes()
        for folder in FOLDERS
        for item in sorted((root / folder).iterdir(), key=lambda item: item.name)
        if item.is_file()
    }
    digest = _digest(
        *(part for place, body in bodies.items() for part in ("/".join(place).encode(), body))
    )
    files: dict[str, File] = {}
    for folder, path in PAGES.items():
        entry = bodies.pop((folder, ENTRY), None)
        if entry is None:
            raise SiteError(f"{folder}: there is no {ENTRY}")
        files[path] = _file(ENTRY, entry.replace(DIGEST_MARK, digest.encode()), _REVALIDATE)
    for (folder, name), body in bodies.items():
        if name == ENTRY:
            raise SiteError(f"{folder}/{ENTRY}: nothing leads to this page")
        files[f"{BELOW}/{digest}/{folder}/{name}"] = _file(name, body, _FOREVER)
    return MappingProxyType(files)


def _file(name: str, body: bytes, cache_control: bytes) -> File:
    suffix = name[name.rfind(".") :]
    media_type = MEDIA_TYPES.get(suffix)
    if media_type is None:
        raise SiteError(f"{name}: files that end in {suffix} are not served")
    etag = etag_of(body)
    own = ((b"content-type", media_type), (b"cache-control", cache_control), (b"etag", etag))
    return File(body, etag, (*own, *SECURITY_HEADERS))


def _digest(*parts: bytes) -> str:
    digest = blake2b(digest_size=8)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
