"""What holds for all tests. Nothing here imports torch: the environment has to be set before."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Two workers on two cores: with more threads than cores, small operations get slower, not faster.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples each time: a red test stays red until it is mended.
settings.register_profile("nvn", deadline=None, derandomize=True)
settings.load_profile("nvn")

# Each lane, and what is in it of this folder. Other files right here are in the lane core.
LANES = {
    "core": (
        *(
            "apply",
            "checkpoint",
            "checks",
            "commands",
            "console",
            "data",
            "energies",
            "engine",
            "game",
        ),
        *("planner", "recipe", "report", "show", "sweep", "training"),
    ),
    "games": ("ejection", "games", "golden", "parity"),
    "recipes": ("plugins", "recipes", "test_docs.py"),
    "cli": ("cli",),
}
LANE_OF = {place: lane for lane, places in LANES.items() for place in places}


@pytest.fixture(autouse=True)
def nobody_s_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is drawn not depend on where the tests run."""
    for name in ("CI", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its lane; a slow one is in the lane slow alone, as it is marked."""
    for item in items:
        first, *rest = item.path.relative_to(Path(__file__).parent).parts
        if first not in LANE_OF and rest:
            raise pytest.UsageError(f"tests/{first} is in no lane: see LANES in tests/conftest.py")
        if item.get_closest_marker("slow") is None:
            item.add_marker(LANE_OF.get(first, "core"))
