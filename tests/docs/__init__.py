"""The documentation against the program: its examples run and its lists are complete."""
