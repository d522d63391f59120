"""Gradients of a user's model, row by row."""
