"""The command, run in this process, as tests/cli has it."""

from tests.cli.conftest import nvn  # noqa: F401
