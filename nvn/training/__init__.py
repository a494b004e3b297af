"""Training a recipe: the loop over its data, hooks, the run folder, weights."""
