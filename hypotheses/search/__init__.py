"""Symbolic search: programs from examples, without a model."""
