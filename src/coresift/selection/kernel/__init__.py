"""Kernels, and rows that stand for all others as a kernel sees them."""
