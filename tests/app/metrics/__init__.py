"""Tests of the metrics, logs and traces of a running program."""
