"""Plugins that come with nvn, each on its public names alone; installed as `nvn_plugins`."""
