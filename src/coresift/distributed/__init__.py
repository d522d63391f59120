"""The engine of many machines: workers of a Ray cluster, each with its share of the rows."""
