"""The page to play in a real browser; run by ``make test-browser``, which installs what it needs."""
