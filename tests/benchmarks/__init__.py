"""What nvn costs beside loops written by hand. `python -m tests.benchmarks` runs all of it."""
