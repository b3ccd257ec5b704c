"""Concepts that outlive a task: stored, and found again."""

from memory.concept import Concept, Provenance, Statistics
from memory.query import Memory, Recalled, RecallQuery

__all__ = ["Concept", "Memory", "Provenance", "RecallQuery", "Recalled", "Statistics"]
