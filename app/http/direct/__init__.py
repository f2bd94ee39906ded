"""The fast lane: HTTP/1.1 from the socket to the table's handlers with nothing between.

One task for each connection and none for a request; one send for each answer. What the table does
not answer is handed, with the bytes already read, to Hypercorn's connection handler.
"""

from app.http.direct.connection import DirectConnection
from app.http.direct.lane import Lane

__all__ = ["DirectConnection", "Lane"]
