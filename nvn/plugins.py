"""Plugins: what one that adds to a training run needs. `@nvn.plugins.hook` marks its methods.

The hooks, and when each is called, are specified in nvn/training/hooks.py.
"""

from nvn.training.hooks import Hooks, hook

__all__ = ["Hooks", "hook"]
