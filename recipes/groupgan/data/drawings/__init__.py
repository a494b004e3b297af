"""Drawings: the sets that ship, folders of one's own, Sketchy; and slashes that damage them."""
