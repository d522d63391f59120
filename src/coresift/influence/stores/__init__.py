"""Gradients that other tools left on disk, read where they lie."""
