"""What the configuration promises."""
