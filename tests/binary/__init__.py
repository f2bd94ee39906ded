"""The one-file program, run as by a user without Python; `make test-binary`."""
