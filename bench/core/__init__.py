"""Measurements of the parts inside one process, each beside its floor."""
