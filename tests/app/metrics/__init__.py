"""What is measured, logged and traced of a running program."""
