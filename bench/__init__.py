"""Scripts that load, kill and measure a real server; see README.md."""
