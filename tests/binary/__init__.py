"""The one-file program, as a user without Python runs it; `make test-binary`."""
