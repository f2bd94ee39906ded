"""The servers compared with Holdfast: the same work, written the usual way."""
