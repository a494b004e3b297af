"""Exported players: each computes what the original does, and what is not verified has no name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from nvn_plugins import export
from nvn_plugins.export import export_player, inputs_of
from safetensors.torch import load_file
from torch import Tensor

import nvn
from tests.plugins.games import FixedBatch, picture_game


@pytest.fixture(scope="module")
def game(tmp_path_factory: pytest.TempPathFactory) -> nvn.Trained:
    recipe = picture_game()
    run = nvn.train(recipe, out=tmp_path_factory.mktemp("runs") / "run")
    return nvn.trained(run.folder, recipe=recipe)


def noise(count: int) -> Tensor:
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(1))


def test_a_player_is_called_as_in_the_game(game: nvn.Trained) -> None:
    (z,) = inputs_of(game, "G").tensors
    assert z.shape == (8, 4)
    (pictures,) = inputs_of(game, "D").tensors
    assert pictures.shape == (8, 3, 4, 4)


def test_a_program_of_torch_computes_the_same_for_batches_of_any_size(
    game: nvn.Trained, tmp_path: Path
) -> None:
    said = export_player(game, "G", "torch", tmp_path / "G.pt2")
    assert "batches of any size" in said
    loaded = torch.export.load(tmp_path / "G.pt2").module()
    for count in (1, 5, 8):
        with torch.no_grad():
            torch.testing.assert_close(loaded(noise(count)), game.engine.modules["G"](noise(count)))


def test_onnx_computes_the_same(game: nvn.Trained, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    assert "any size" in export_player(game, "G", "onnx", tmp_path / "G.onnx")
    session = runtime.InferenceSession(str(tmp_path / "G.onnx"))
    (entry,) = session.get_inputs()
    (found,) = session.run(None, {entry.name: noise(5).numpy()})
    with torch.no_grad():
        wanted = game.engine.modules["G"](noise(5))
    torch.testing.assert_close(torch.from_numpy(found), wanted)


def test_a_folder_for_a_hub_is_complete(game: nvn.Trained, tmp_path: Path) -> None:
    out = tmp_path / "hub"
    export_player(game, "D", "hub", out)
    assert sorted(path.name for path in out.iterdir()) == [
        *("README.md", "config.json", "model.pt2", "model.safetensors")
    ]
    held = game.engine.modules["D"].state_dict()
    for name, tensor in load_file(out / "model.safetensors").items():
        assert torch.equal(tensor, held[name])
    about = json.loads((out / "config.json").read_text())
    assert about["inputs"] == [{"shape": ["N", 3, 4, 4], "dtype": "torch.float32"}]
    card = (out / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: pytorch\n")
    assert "# D of pictures" in card


def test_a_batch_of_one_size_is_said(tmp_path: Path) -> None:
    recipe = picture_game(FixedBatch())
    run = nvn.train(recipe, out=tmp_path / "run", max_steps=1)
    fixed = nvn.trained(run.folder, recipe=recipe)
    assert "of 8 samples alone" in export_player(fixed, "G", "torch", tmp_path / "G.pt2")


def test_what_computes_something_else_gets_no_name(
    game: nvn.Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = export._write_torch

    def wrong(*arguments: Any) -> Any:
        compute = write(*arguments)
        return lambda inputs: [x + 0.1 for x in compute(inputs)]

    monkeypatch.setattr(export, "_write_torch", wrong)
    with pytest.raises(nvn.RunError, match="does not compute what the player does"):
        export_player(game, "G", "torch", tmp_path / "G.pt2")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("player", "to", "out", "said"),
    [
        ("X", "torch", "X.pt2", "no player 'X'. Players: G, D"),
        ("G", "torch", "G.pt", "its name must end in .pt2"),
        ("G", "onnx", "G.pt2", "its name must end in .onnx"),
        ("G", "hub", "no/such/place", "there is no folder"),
        ("G", "hub", ".", "is there already"),
    ],
)
def test_what_is_wrong_is_said(
    game: nvn.Trained, tmp_path: Path, player: str, to: Any, out: str, said: str
) -> None:
    with pytest.raises(nvn.NvnError) as error:
        export_player(game, player, to, tmp_path / out)
    assert said in str(error.value)
