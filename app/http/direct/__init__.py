"""The fast lane: HTTP/1.1 from the socket to the table's handlers with nothing in between.

One task for each connection and none for a request; one send for each answer. A connection that
requests an event stream continues as one.
"""

from app.http.direct.connection import DirectConnection
from app.http.direct.lane import Lane

__all__ = ["DirectConnection", "Lane"]
