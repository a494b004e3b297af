"""How games are measured and shown: numbers and pictures that any recipe may use."""
