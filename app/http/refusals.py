"""Answers requests refused for their head, in either lane: only the connection has seen them.

What can be read of such a head serves only the answer and the log line: the client, the site, and
whether the answer may have a body.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import trio

from app.http.direct.render import Renderer
from app.http.edge import request_id_of
from app.http.errors import TooManyRequests
from app.http.exchange import Headers
from app.http.head import HEAD_END, path_of
from app.http.trail import Trail

if TYPE_CHECKING:
    from app.http.edge import Edge
    from app.http.errors import HttpError
    from app.http.settings import HttpSettings

# Neither the query nor an absolute target may reach the log: either may hold a secret.
_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) (/[\x21-\x3e\x40-\x7e]*)?")
_FIELD = re.compile(rb"\r\n([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([^\r\n]*)(?=\r\n)")


class Refusals:
    """Answers refused heads; one for each server."""

    def __init__(self, edge: Edge, settings: HttpSettings) -> None:
        self._edge = edge
        self._renderer = Renderer(edge.policy)
        self._path_bytes_max = settings.max_target_bytes
        self._proxies = settings.trusted_proxies

    def answer(self, error: HttpError, raw: bytes, client: str) -> bytes:
        """Return the answer to a head, whole or partial; it is the connection's last.

        ``client`` is the address that the connection comes from. This counts as a request.
        """
        method, path, headers = _read(raw, self._path_bytes_max)
        trail = Trail(request_id_of(headers), method, path, client)
        edge = self._edge
        trail.client = edge.gate.client_of(client, headers)
        # If the head ends before the proxy names the client, the client is unknown.
        if trail.client not in self._proxies:
            try:
                edge.gate.take(edge.gate.limited_as(trail.client))
            except TooManyRequests as fault:
                error = fault
        response = edge.refuse(error, headers, trail, trio.current_time())
        sharing = edge.policy.sharing(headers)
        response = msgspec.structs.replace(response, headers=(*response.headers, *sharing))
        return self._renderer.render(
            response, trail.request_id, close=True, with_body=method != "HEAD"
        )


def _read(raw: bytes, path_bytes_max: int) -> tuple[str, str, Headers]:
    """Return the method, the path and the headers, as far as they can be read."""
    head, end, _ = raw.partition(HEAD_END)
    if end:
        head += b"\r\n"  # In an unfinished head, the last line may be incomplete.
    headers = Headers([(name.lower(), value.strip()) for name, value in _FIELD.findall(head)])
    line = _LINE.match(head)
    if line is None:
        return "", "", headers
    path = (line[2] or b"")[:path_bytes_max]
    return line[1].decode("ascii"), path_of(path), headers
