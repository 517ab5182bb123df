"""Artifacts with one field changed: what becomes of them is a sentence or an answer, never a crash."""
