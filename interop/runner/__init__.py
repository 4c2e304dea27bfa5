"""Plans the matrix, plays each cell, reaches the verdict: the pytest plugin and all beneath it."""
