"""Metrics and traces: a leaf that everything may import."""
