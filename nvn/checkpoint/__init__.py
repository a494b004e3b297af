"""State on disk: what it is encoded as, and a folder that is whole or is not there."""
