"""Tests of the event streams, before a scripted world."""
