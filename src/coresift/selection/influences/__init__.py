"""Influence as methods see it, and the bandit that asks for little of it."""
