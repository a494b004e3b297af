"""Hand-crafted features of pictures, and a linear machine that classifies them."""
