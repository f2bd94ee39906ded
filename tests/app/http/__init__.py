"""Tests of the HTTP front: what speaks HTTP is tested over real sockets on loopback."""
