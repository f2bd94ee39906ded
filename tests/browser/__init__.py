"""The web pages in a real browser; ``make test-browser`` sets them up and runs them."""
