"""Faces rendered from a sculpted CC0 rig: the data set that ships with the recipes."""
