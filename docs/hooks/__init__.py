"""What makes pages of the documentation out of the program itself, so that they cannot go stale."""
