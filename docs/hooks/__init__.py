"""Generates pages of the documentation from the program itself, so that they cannot go stale."""
