"""Recipes: configuration, loading, and the graph, plans and engines built from one."""
