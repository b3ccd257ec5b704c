"""The loop: from a task through hypotheses and programs to a verified solution."""
