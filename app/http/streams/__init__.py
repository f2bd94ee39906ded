"""Event streams: one account's events, as Server-Sent Events and over WebSocket.

`follow` decides what is told and when, and knows no wire; `translate` gives the events their form;
`sse` and `websocket` speak their protocols; `registry` admits and counts. Streams are served below
the ASGI application, where Hypercorn serves a request: an open one is a task and little else.
"""

from app.http.streams.registry import Streams, StreamsStatistics
from app.http.streams.settings import StreamSettings

__all__ = ["StreamSettings", "Streams", "StreamsStatistics"]
