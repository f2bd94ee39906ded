"""Event streams: one account's events, as Server-Sent Events and over WebSocket.

`follow` decides what is told and when, and knows no wire; `translate` gives the events their form;
`front` is a stream from its request to its end, of which `sse` and `websocket` are the two kinds;
`registry` admits and counts. A connection of either lane hands its socket over (`takeover`,
`wire`), and one task for all (`readiness`) watches what their clients send.
"""

from app.http.streams.registry import Streams, StreamsStatistics
from app.http.streams.settings import StreamSettings

__all__ = ["StreamSettings", "Streams", "StreamsStatistics"]
