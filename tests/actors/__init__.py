"""What the actors promise."""
