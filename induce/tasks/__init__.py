"""Readers: from a benchmark's own files to tasks and, apart from them, their answers."""
