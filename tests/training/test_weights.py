from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from nvn.errors import RunError
from nvn.training.weights import load_weights, save_players, save_weights


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_weights_load_in_plain_pytorch(tmp_path: Path) -> None:
    G = network()
    save_players(tmp_path / "final", {"G": G.state_dict()}, {"steps": "main 7"})
    model = network()
    model.load_state_dict(load_file(tmp_path / "final" / "G.safetensors"))
    assert all(torch.equal(a, b) for a, b in zip(G.parameters(), model.parameters(), strict=True))


def test_weights_say_what_they_are(tmp_path: Path) -> None:
    save_players(tmp_path, {"G": network().state_dict()}, {"steps": "main 7"})
    about = load_weights(tmp_path / "G.safetensors", network())
    assert about == {"format": "1", "player": "G", "steps": "main 7"}


def test_tied_weights_are_all_there(tmp_path: Path) -> None:
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    save_weights(tmp_path / "w.safetensors", tied.state_dict(), {})
    load_weights(tmp_path / "w.safetensors", tied)


def test_what_is_no_tensor_is_left_out_and_said(tmp_path: Path) -> None:
    state = {"w": torch.ones(1), "extra": object()}
    save_weights(tmp_path / "w.safetensors", state, {})
    module = nn.Module()
    module.register_buffer("w", torch.zeros(1))
    assert load_weights(tmp_path / "w.safetensors", module)["left_out"] == "extra"


def test_all_that_does_not_fit_is_said_and_nothing_loaded(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, {"0.weight": torch.ones(2, 2), "0.bais": torch.ones(4)}, {})
    module = nn.Sequential(nn.Linear(3, 4))
    before = [p.clone() for p in module.parameters()]
    with pytest.raises(RunError) as error:
        load_weights(path, module)
    assert "0.bias is missing" in str(error.value)
    assert "0.bais is not in the module. Did you mean '0.bias'?" in str(error.value)
    assert "0.weight is (2, 2) in the file, (4, 3) in the module" in str(error.value)
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "there are no weights"), (b"", "not a whole"), (b"x" * 100, "not a whole")],
)
def test_files_that_are_no_weights(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "w.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=message):
        load_weights(path, network())


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    save_file(network().state_dict(), tmp_path / "w.safetensors", {"format": "99"})
    with pytest.raises(RunError, match="has format 99"):
        load_weights(tmp_path / "w.safetensors", network())


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, network().state_dict(), {})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RunError, match="not a whole"):
        load_weights(path, network())


class Remembering(nn.Linear):
    """A module with a state that is no tensor, which safetensors cannot hold."""

    def get_extra_state(self) -> str:
        return "text"

    def set_extra_state(self, state: object) -> None:
        raise AssertionError("there is none in the file")


def test_weights_load_though_what_is_no_tensor_was_left_out(tmp_path: Path) -> None:
    saved, loaded = Remembering(2, 2), Remembering(2, 2)
    save_weights(tmp_path / "a.safetensors", saved.state_dict(), {})
    assert load_weights(tmp_path / "a.safetensors", loaded)["left_out"] == "_extra_state"
    assert torch.equal(loaded.weight, saved.weight)
