"""Batch solving on a Ray cluster. Nothing is here yet."""
