"""Who is one of several processes, by what launchers say in the environment."""

import pytest

from nvn.errors import RunError
from nvn.training.processes.launching import World, follows, started, world_of

TORCHRUN = {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "RANK": "3", "LOCAL_RANK": "1"}
FIRST = {**TORCHRUN, "RANK": "0", "LOCAL_RANK": "0"}
BY_HAND = {"MASTER_ADDR": "first", "MASTER_PORT": "29500", "NODE_RANK": "1"}


@pytest.mark.parametrize(
    ("environ", "nodes", "expected"),
    [
        ({}, 1, False),
        ({"NODE_RANK": "1"}, 1, False),  # which others have for purposes of their own
        (BY_HAND, 2, True),
        ({**BY_HAND, "NODE_RANK": "0"}, 2, False),
        (TORCHRUN, 1, True),
        (FIRST, 1, False),
        ({**FIRST, "RANK": "2"}, 1, True),  # the first of the second machine
    ],
)
def test_who_follows(environ: dict[str, str], nodes: int, expected: bool) -> None:
    assert follows(nodes, environ) is expected


def test_what_a_launcher_has_started() -> None:
    assert not started({})
    assert not started({"WORLD_SIZE": "1"})
    assert started(TORCHRUN)


@pytest.mark.parametrize(
    ("devices", "nodes", "environ", "expected"),
    [
        ("1", 1, {}, World(1, 1)),
        ("3", 1, {}, World(3, 1)),
        ("auto", 1, {}, World(8, 1)),
        ("2", 2, BY_HAND, World(2, 2)),
        ("1", 1, TORCHRUN, World(2, 2, started=True)),
        ("auto", 1, TORCHRUN, World(2, 2, started=True)),  # two runs of their own, elsewhere
        ("2", 2, TORCHRUN, World(2, 2, started=True)),
        ("1", 1, {**TORCHRUN, "SLURM_STEP_NUM_TASKS": "2"}, World(2, 2, started=True)),
        ("1", 1, {"SLURM_STEP_NUM_TASKS": "1", "SLURM_NTASKS": "4"}, World(1, 1)),
    ],
)
def test_the_processes_of_a_run(
    devices: str, nodes: int, environ: dict[str, str], expected: World
) -> None:
    assert world_of(devices, nodes, 8, environ) == expected
    assert expected.count == expected.local * expected.nodes


@pytest.mark.parametrize(
    ("devices", "nodes", "environ", "told"),
    [
        ("1", 2, {}, "MASTER_ADDR, MASTER_PORT, NODE_RANK not set"),
        ("1", 2, {**BY_HAND, "NODE_RANK": ""}, "NODE_RANK not set"),
        ("3", 1, TORCHRUN, "--devices 3: a launcher has started 2 processes on this machine"),
        ("2", 3, TORCHRUN, "--num-nodes 3: a launcher has started processes on 2 machines"),
        ("1", 1, {"WORLD_SIZE": "2", "RANK": "1"}, "no LOCAL_RANK which of this machine"),
        ("1", 1, {**TORCHRUN, "LOCAL_WORLD_SIZE": "3"}, "expected the same number on each"),
        ("1", 1, {"SLURM_STEP_NUM_TASKS": "4"}, "srun has started 4 tasks of this command"),
    ],
)
def test_what_does_not_fit_is_told(
    devices: str, nodes: int, environ: dict[str, str], told: str
) -> None:
    with pytest.raises(RunError, match=told):
        world_of(devices, nodes, 8, environ)
