"""Influence of rows on a target: gradients, curvatures and the scores they give."""
