"""The page to play in a real browser; run by ``make test-browser``, which sets it all up."""
