"""GroupGAN's networks, data and evaluation."""
