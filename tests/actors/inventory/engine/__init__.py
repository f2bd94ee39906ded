"""What the engine of an inventory promises."""
