"""Plugins: what one that adds to a training run needs.

The hooks, and when each is called, are specified by `Hooks`. A plugin is an object with methods
marked `@nvn.plugins.hook`, each taking as many of its hook's arguments as it needs.
"""

from nvn.training.hooks import Hooks, hook

__all__ = ["Hooks", "hook"]
