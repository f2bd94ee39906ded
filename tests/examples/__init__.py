"""The examples at work."""
