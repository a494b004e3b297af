import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from nvn.errors import NvnWarning, RunError
from nvn.training.weights import Expected, load_weights, save_players, save_weights


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
    [(None, "there are no weights"), (b"", "not a complete"), (b"x" * 100, "not a complete")],
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
    with pytest.raises(RunError, match="not a complete"):
        load_weights(path, network())


class Remembering(nn.Linear):
    """A module with a state that is no tensor."""

    def __init__(self, text: object) -> None:
        super().__init__(2, 2)
        self.text = text

    def get_extra_state(self) -> object:
        return self.text

    def set_extra_state(self, state: object) -> None:
        self.text = state


def test_a_state_that_is_no_tensor_comes_back(tmp_path: Path) -> None:
    saved, loaded = Remembering({"text": ("a", 1.5)}), Remembering(None)
    save_weights(tmp_path / "a.safetensors", saved.state_dict(), {})
    assert "left_out" not in load_weights(tmp_path / "a.safetensors", loaded)
    assert loaded.text == {"text": ("a", 1.5)}


def test_weights_load_though_something_was_left_out(tmp_path: Path) -> None:
    saved, loaded = Remembering(print), Remembering(None)
    save_weights(tmp_path / "a.safetensors", saved.state_dict(), {})
    assert load_weights(tmp_path / "a.safetensors", loaded)["left_out"] == "_extra_state"
    assert torch.equal(loaded.weight, saved.weight)
    assert loaded.text is None


@pytest.mark.filterwarnings("ignore:Sparse invariant", "ignore:ComplexHalf")
@pytest.mark.parametrize(
    "odd",
    [
        torch.randn(3, dtype=torch.complex128),
        torch.randn(2, 3, dtype=torch.complex64),
        torch.sparse_coo_tensor([[0, 2]], [1.0, 2.0], (3,), check_invariants=True),
        torch.randn(3, 2).t(),
    ],
    ids=["complex128", "complex64", "sparse", "transposed"],
)
def test_what_safetensors_has_no_word_for_is_kept(tmp_path: Path, odd: torch.Tensor) -> None:
    def module() -> nn.Module:
        made = nn.Linear(2, 2)
        made.register_buffer("odd", torch.zeros_like(odd))
        return made

    saved, loaded = module(), module()
    saved.odd = odd
    save_weights(tmp_path / "a.safetensors", saved.state_dict(), {})
    load_weights(tmp_path / "a.safetensors", loaded)
    dense = (x.to_dense() if x.is_sparse else x for x in (loaded.odd, odd))
    assert torch.equal(*dense)  # type: ignore[arg-type]


def test_one_player_that_cannot_be_saved_costs_the_others_nothing(tmp_path: Path) -> None:
    (tmp_path / "B.safetensors").mkdir()
    states = {name: network().state_dict() for name in "ABC"}
    states["D" * 300] = network().state_dict()
    with pytest.raises(RunError) as error:
        save_players(tmp_path, states, {})
    assert len(str(error.value).splitlines()) == 2
    assert "B.safetensors" in str(error.value)
    for name in "AC":
        load_weights(tmp_path / f"{name}.safetensors", network())


def test_weights_of_another_player_or_recipe_are_refused(tmp_path: Path) -> None:
    digests = save_players(tmp_path, {"G": network().state_dict()}, {"recipe": "gan"})
    path = tmp_path / "G.safetensors"
    load_weights(path, network(), Expected("G", "gan", digests["G"]))
    with pytest.raises(RunError, match="the weights of the player 'G', expected 'D'"):
        load_weights(path, network(), Expected("D", "gan"))
    with pytest.raises(RunError, match="the weights of the recipe 'gan', expected 'other'"):
        load_weights(path, network(), Expected("G", "other"))


def test_one_bit_that_has_changed_is_noticed(tmp_path: Path) -> None:
    digests = save_players(tmp_path, {"G": network().state_dict()}, {"recipe": "gan"})
    path = tmp_path / "G.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    module = network()
    before = module.state_dict()["0.weight"].clone()
    with pytest.raises(RunError, match="has changed since the run wrote it"):
        load_weights(path, module, Expected("G", "gan", digests["G"]))
    assert torch.equal(module.state_dict()["0.weight"], before)


def test_another_kind_of_number_is_refused(tmp_path: Path) -> None:
    state = {"weight": torch.ones(2, 2, dtype=torch.complex64), "bias": torch.ones(2).long()}
    save_weights(tmp_path / "w.safetensors", state, {})
    with pytest.raises(RunError) as error:
        load_weights(tmp_path / "w.safetensors", nn.Linear(2, 2))
    assert "weight is torch.complex64 in the file, torch.float32 in the module" in str(error.value)
    assert "bias is torch.int64 in the file" in str(error.value)


def test_weights_that_are_not_finite_are_told(tmp_path: Path) -> None:
    module = nn.Linear(2, 2)
    nn.init.constant_(module.bias, float("nan"))
    save_weights(tmp_path / "w.safetensors", module.state_dict(), {})
    with pytest.warns(NvnWarning, match="bias is not finite"):
        load_weights(tmp_path / "w.safetensors", nn.Linear(2, 2))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.safetensors")
    with pytest.raises(RunError, match="no regular file"):
        load_weights(tmp_path / "w.safetensors", network())


def test_no_more_is_read_than_a_module_can_have(tmp_path: Path) -> None:
    with (tmp_path / "w.safetensors").open("wb") as file:
        file.truncate(2**40)  # of which nothing is on the disk
    with pytest.raises(RunError, match="it is too large"):
        load_weights(tmp_path / "w.safetensors", network())
