"""What methods read beside vectors: columns, numbers, scores, losses and the values of groups."""
