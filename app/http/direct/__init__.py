"""The fast lane: HTTP/1.1 from the socket to the table's handlers with nothing between.

One task for each connection and none for a request; one send for each answer. Where
there is no table, a connection is handed on with the bytes already read.
"""

from app.http.direct.connection import DirectConnection
from app.http.direct.lane import Lane

__all__ = ["DirectConnection", "Lane"]
