"""Concepts that outlive a task. So far only their shape; storing and recalling them is to come."""

from memory.concept import Concept

__all__ = ["Concept"]
