"""Commands, each a file of its own; cli.py registers them. Slow imports are inside functions."""
