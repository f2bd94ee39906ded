"""Tests of the shipped rulesets: they reproduce what their games publish."""
