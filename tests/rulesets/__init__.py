"""Tests of the rulesets that are shipped: what their games publish, they reproduce."""
