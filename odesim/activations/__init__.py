"""Activations: Gaussian moments and pair kernels."""
