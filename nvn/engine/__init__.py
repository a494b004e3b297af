"""Runs a plan on tensors: modules, optimizers, random streams, one iteration after another."""
