"""Event streams: one account's events, as Server-Sent Events and over WebSocket.

`follow` decides what to send and when, independent of the wire; `translate` gives the events their
form; `front` is a stream from its request to its end, with the two kinds `sse` and `websocket`;
`registry` admits and counts. A connection of either lane hands its socket over (`takeover`,
`wire`), and one task for all streams (`readiness`) watches for data from their clients.
"""

from app.http.streams.registry import Streams, StreamsStatistics
from app.http.streams.settings import StreamSettings

__all__ = ["StreamSettings", "Streams", "StreamsStatistics"]
