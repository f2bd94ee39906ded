"""What the demo promises."""
