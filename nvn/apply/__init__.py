"""Applying a trained run to picture files."""
