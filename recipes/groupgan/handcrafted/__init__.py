"""Features of pictures that nobody learned, and the linear machine that tells classes by them."""
