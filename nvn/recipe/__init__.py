"""A recipe: its settings, its file, and the graph, plans and engines that are built from it."""
