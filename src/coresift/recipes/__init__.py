"""Recipes: several commands in one file, run again only where something has changed."""
