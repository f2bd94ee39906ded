"""The rulesets that come with Holdfast: TOML files, and no code."""
