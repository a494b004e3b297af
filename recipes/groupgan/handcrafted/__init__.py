"""Features of pictures that nobody learnt, and the linear machine that tells classes by them."""
