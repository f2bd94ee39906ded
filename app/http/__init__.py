"""The HTTP front: the contract of version 1 on Quart-Trio and Hypercorn.

From the wire inwards: `listeners` and `server` own the sockets, `connection` drives one of them,
`protocol` is HTTP/1.1 (Hypercorn's, hardened), `edge` guards the ASGI application, `quart_app`
routes, `pipeline` turns a request into a `Call` and an answer into a response. The endpoints are
one declarative table in `endpoints`; their handlers know nothing of Quart or of HTTP headers.
"""

from app.http.errors import HttpBindError
from app.http.quart_app import create_app
from app.http.server import serve_http
from app.http.settings import HttpSettings

__all__ = ["HttpBindError", "HttpSettings", "create_app", "serve_http"]
