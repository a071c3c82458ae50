"""Benchmarks: our kernels against competent peers, all contenders interleaved in one run; see ``--help``."""
