"""Flows: the reduced dynamics."""
