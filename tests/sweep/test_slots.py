"""How the machine is divided."""

import pytest

from nvn.errors import ConfigError, RunError
from nvn.sweep.slots import cuda_devices, make_slots, usable_cores


def places(accelerator="auto", jobs=None, cells=100, devices=(), cores=8, environment=None):
    return make_slots(accelerator, jobs, cells, devices, cores, environment or {})


@pytest.mark.parametrize(
    ("cores", "count", "threads"), [(1, 1, 1), (2, 1, 2), (8, 4, 2), (9, 4, 2)]
)
def test_on_a_cpu_each_run_has_two_cores(cores: int, count: int, threads: int) -> None:
    assert places(cores=cores) == [{"OMP_NUM_THREADS": str(threads)}] * count


def test_jobs_share_the_cores() -> None:
    assert places(jobs=3) == [{"OMP_NUM_THREADS": "2"}] * 3
    assert places(jobs=20, cores=4) == [{"OMP_NUM_THREADS": "1"}] * 20
    assert places(jobs=20, cells=2) == [{"OMP_NUM_THREADS": "4"}] * 2


def test_threads_that_were_asked_for_stay() -> None:
    assert places(environment={"OMP_NUM_THREADS": "3"})[0] == {"OMP_NUM_THREADS": "3"}


def test_each_run_sees_one_cuda_device() -> None:
    found = places(devices=["0", "3"])
    assert [place["CUDA_VISIBLE_DEVICES"] for place in found] == ["0", "3"]
    found = places("cuda", devices=["0", "3"], jobs=3)
    assert [place["CUDA_VISIBLE_DEVICES"] for place in found] == ["0", "3", "0"]
    assert "CUDA_VISIBLE_DEVICES" not in places("cpu", devices=["0"])[0]


def test_mps_has_one_device() -> None:
    assert len(places("mps")) == 1


def test_what_cannot_be() -> None:
    with pytest.raises(ConfigError, match="--jobs 0: expected at least 1"):
        places(jobs=0)
    with pytest.raises(RunError, match="--accelerator cuda: this machine has no CUDA device"):
        places("cuda")


@pytest.mark.parametrize(
    ("visible", "expected"),
    [(None, ["0", "1"]), ("", ["0", "1"]), ("5, GPU-x", ["5", "GPU-x"]), ("5,7,9", ["5", "7"])],
)
def test_devices_keep_the_names_they_have(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, expected: list[str]
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert cuda_devices("auto", environment) == expected
    assert cuda_devices("cpu", environment) == []


def test_there_is_a_core() -> None:
    assert usable_cores() >= 1
