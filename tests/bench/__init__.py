"""The benchmark's own arithmetic: nothing here measures anything."""
