"""What Authx promises."""
