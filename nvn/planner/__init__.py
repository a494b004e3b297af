"""From a loss graph and a schedule to a program: what is computed when, how gradients flow back."""
