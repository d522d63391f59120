"""From PATHs to rows and vectors, and from results to disk."""
