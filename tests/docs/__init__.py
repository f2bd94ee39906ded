"""The documentation against the program: what it shows is run, what it lists is complete."""
