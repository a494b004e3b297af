"""What `nvn new` writes, with the names changed: recipes that run, and a test of each."""
