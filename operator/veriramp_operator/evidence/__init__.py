"""Samples in, verdicts out: one module per gate kind."""
