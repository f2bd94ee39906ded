"""Tests of the event streams on the real stack: server processes, sockets, a database."""
