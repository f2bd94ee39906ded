"""Scripts that put a real server under load, kill it, and measure it; see README.md."""
