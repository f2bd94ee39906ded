"""Tests of the ruleset format: formulas, shape, compiling, and what comes out."""
