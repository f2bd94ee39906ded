"""What the bus promises."""
