"""k-means over runs of rows: seeding, iterations, the last pass and its files."""
