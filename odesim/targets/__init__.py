"""Targets: what is learned."""
