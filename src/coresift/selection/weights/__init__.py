"""Weights that were learned on a few rows, for all rows."""
