"""Integrators: methods as data, one adaptive loop."""
