"""What an inventory promises."""
