"""Picking rows that are held in memory, and pools where they are not."""
