"""The whole program: real server processes, a real PostgreSQL, real sockets."""
