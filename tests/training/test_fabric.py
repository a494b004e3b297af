import os
from pathlib import Path

import pytest

from nvn.errors import RunError
from nvn.training.fabric import launched, make_fabric


@pytest.mark.parametrize("precision", ["32-true", "64-true", "bf16-mixed"])
def test_a_cpu_in_each_precision(precision: str) -> None:
    assert make_fabric("cpu", precision=precision).device.type == "cpu"


def test_fabric_does_not_say_what_was_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    make_fabric("cpu", precision="bf16-mixed")
    assert capfd.readouterr() == ("", "")


def test_all_that_is_not_offered_is_said_at_once() -> None:
    with pytest.raises(RunError) as error, launched("cpu", "0", 0, "dpd", "16-mixed"):
        pass
    said = str(error.value)
    assert all(
        word in said for word in ("--devices 0", "--num-nodes 0", "--strategy dpd", "16-mixed")
    )
    assert "Did you mean 'ddp'" in said
    assert "32-true, 64-true, bf16-mixed" in said


@pytest.mark.parametrize("strategy", ["fsdp", "model_parallel", "deepspeed"])
def test_a_strategy_that_cuts_players_is_refused_with_the_reason(strategy: str) -> None:
    told = "since nvn places every player whole on each device"
    with pytest.raises(RunError, match=told), launched("cpu", "2", 1, strategy):
        pass


def test_several_processes_on_one_device_are_refused() -> None:
    told = "--accelerator mps: has one device"
    with pytest.raises(RunError, match=told), launched("mps", "2"):
        pass


@pytest.mark.parametrize("accelerator", ["gpus", "tpu"])
def test_an_accelerator_that_is_not_there(accelerator: str) -> None:
    with pytest.raises(RunError, match=f"--accelerator {accelerator}"):
        make_fabric(accelerator)


def test_a_login_node_of_slurm_is_no_reason_to_warn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fabric warns where it finds `srun` and was not started by it; warnings are errors here."""
    srun = tmp_path / "srun"
    srun.write_text("#!/bin/sh\n")
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("SLURM_NTASKS", raising=False)
    assert make_fabric("cpu").device.type == "cpu"


def test_many_processes_that_would_all_train_the_same_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As torchrun starts them."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(RunError, match="one of 2 processes, as torchrun starts them"):
        make_fabric("cpu")
