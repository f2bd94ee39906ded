"""Tests of Storage."""
