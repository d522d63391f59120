"""Finding all pairs of near rows, and what is kept of them."""
