"""Clips: labels, questions, next frames."""
