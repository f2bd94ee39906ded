"""Tests of the Ticker."""
