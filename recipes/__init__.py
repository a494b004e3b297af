"""The games that come with nvn: one file a game, installed as the package `nvn_recipes`."""
