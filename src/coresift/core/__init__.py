"""What every other layer speaks in: errors, sizes, randomness, exact sums, the memory budget."""
