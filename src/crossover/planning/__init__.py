"""Predicting what a model costs on a machine that need not be here: machines as values, and laws of their time."""
