"""How well a subset stands for the whole: metrics of row sets against all rows."""
