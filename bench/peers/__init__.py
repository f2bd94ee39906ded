"""What Holdfast is measured against: the same work, written the way others write it."""
