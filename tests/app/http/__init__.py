"""Tests of the HTTP front: everything that speaks HTTP is tested over real sockets on loopback."""
