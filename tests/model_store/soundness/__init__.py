"""Tests of what is checked before compiled code sees it."""
