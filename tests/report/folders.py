"""Folders of runs, written by hand: as small, long or odd as a test needs."""

import io
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from PIL import Image


def png(shade: int = 128) -> bytes:
    content = io.BytesIO()
    Image.new("L", (24, 16), shade).save(content, format="PNG")
    return content.getvalue()


def loss(step: int) -> float:
    return 1 / step


def write_run(
    folder: Path,
    *,
    steps: int = 50,
    energies: int = 2,
    value: Callable[[int], float | None] = loss,
    pictures: int = 3,
    recipe: str = "game",
    names: str = "e",
    config: Mapping[str, Any] | None = None,
    **about: Any,
) -> Path:
    folder.mkdir(parents=True)
    main = {
        "recipe": recipe,
        "outcome": "finished",
        "seed": 0,
        "started": "2026-01-02T03:04:05+00:00",
        "seconds": 12.5,
        "steps": {"main": steps},
        "phases": {"main": steps},
        "versions": {"nvn": "0.1.0"},
        "metrics": {"judge": {"score": 0.25}},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump({**main, **about}, allow_unicode=True))
    (folder / "config.yaml").write_text(yaml.safe_dump({"lr": 0.1, **(config or {})}))
    with (folder / "metrics.jsonl").open("w") as file:
        for step in range(1, steps + 1):
            x = value(step)
            line = {
                "phase": "main",
                "step": step,
                "energies": {f"{names}{i}": None if x is None else x + i for i in range(energies)},
                "objectives": {"G": x, "D": None if x is None else math.sin(step)},
            }
            file.write(json.dumps(line) + "\n")
            if step % 10 == 0:
                judged = {"evaluation": "judge", "step": step, "metrics": {"score": x}}
                file.write(json.dumps(judged) + "\n")
    (folder / "images").mkdir()
    for number in range(pictures):
        (folder / "images" / f"faces-{number * 10:06d}.png").write_bytes(png(40 * number))
    return folder
