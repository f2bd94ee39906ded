"""The server's web pages: static files, served as they are."""

from __future__ import annotations

from app.pages.site import File, SiteError, load_site

__all__ = ["File", "SiteError", "load_site"]
