"""What plugins add to a recipe: energies that players minimize besides, evaluations, previews."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nvn.errors import ConfigError, did_you_mean
from nvn.game import Game
from nvn.recipe.recipe import Recipe
from nvn.training.hooks import plugin_manager

__all__ = ["extended", "with_plugins"]


def with_plugins(recipe: Recipe, plugins: tuple[object, ...] = ()) -> Recipe:
    """Return a recipe with what its own plugins add, and further ones.

    Raises:
        ConfigError: A plugin is not valid, or adds what is not.
    """
    return extended(recipe, plugin_manager([*recipe.plugins, *plugins]).hook)


def extended(recipe: Recipe, hook: Any) -> Recipe:
    """Return a recipe with what plugins add; its game gets the energies: it is the same game.

    Args:
        recipe: The recipe, just built.
        hook: Calls the hooks of all plugins.

    Raises:
        ConfigError: A plugin adds to no player, or what is neither energy, evaluation nor preview.
    """
    added = hook.energies(game=recipe.game)
    problems = [problem for each in added for problem in _problems(recipe.game, each)]
    if problems:
        raise ConfigError("\n".join(problems))
    for energies in added:
        for name, energy in energies.items():
            recipe.game.players[name].minimizes(energy)
    more = {
        "evaluations": (*recipe.evaluations, *_flat(hook.evaluations(recipe=recipe))),
        "previews": (*recipe.previews, *_flat(hook.previews(recipe=recipe))),
    }
    same = all(len(more[group]) == len(getattr(recipe, group)) for group in more)
    return recipe if same else recipe.replace(**more)


def _problems(game: Game, energies: object) -> Iterator[str]:
    if not isinstance(energies, Mapping):
        yield (
            f"a plugin's hook energies returned {type(energies).__name__}; expected "
            '{"player": energy}'
        )
        return
    for name in energies:
        if name not in game.players:
            yield (
                f"a plugin adds an energy to {name!r}, and {game.name!r} has no such player."
                f"{did_you_mean(str(name), game.players)} Players: {', '.join(game.players)}"
            )


def _flat(results: list[Any]) -> Iterator[Any]:
    """Yield what plugins returned; of what is no list, itself: the recipe says what is expected."""
    for result in results:
        yield from result if isinstance(result, list | tuple) else [result]
