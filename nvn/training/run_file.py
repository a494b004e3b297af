"""run.yaml, read as what it has to be: it may be torn, of long ago, or somebody else's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from nvn.errors import ConfigError, RunError
from nvn.recipe.config import read_yaml
from nvn.recipe.yaml_reading import shortened

__all__ = ["RunFile", "read_run"]


class _Saving(pydantic.BaseModel):
    steps: int | None = pydantic.Field(default=None, ge=1)
    seconds: float | None = pydantic.Field(default=None, gt=0)
    keep_every: int | None = pydantic.Field(default=None, ge=1)
    best: str | None = None
    on_failure: Literal["continue", "stop"] = "continue"


class RunFile(pydantic.BaseModel):
    """What run.yaml says of a run that is to go on. Further entries are left alone.

    >>> RunFile.model_validate({"recipe": "gan", "run": "1f", "seed": 3}).saving.on_failure
    'continue'
    """

    model_config = pydantic.ConfigDict(frozen=True, strict=True)

    recipe: str
    run: str
    seed: int = pydantic.Field(ge=0, lt=2**63)
    origin: str | None = None
    max_steps: int | None = pydantic.Field(default=None, ge=1)
    more_steps: int = pydantic.Field(default=0, ge=0)
    on_divergence: Literal["stop", "skip", "rollback"] = "stop"
    deterministic: bool = False
    pulls_every: Annotated[int, pydantic.Field(ge=1)] | Literal["auto", "off"] = "auto"
    metrics_every: int = pydantic.Field(default=1, ge=1)
    compile: list[str] = pydantic.Field(default_factory=list)
    accumulate: int = pydantic.Field(default=1, ge=1)
    plugins: list[str] = pydantic.Field(default_factory=list)
    accelerator: str = "auto"
    precision: str = "32-true"
    processes: int = pydantic.Field(default=1, ge=1)
    num_nodes: int = pydantic.Field(default=1, ge=1)
    saving: _Saving = _Saving()
    code: dict[str, str] = pydantic.Field(default_factory=dict)
    outcome: str = "running"
    parts: list[dict[str, Any]] = pydantic.Field(default_factory=list)

    @property
    def devices(self) -> int:
        """How many devices of each machine it ran on."""
        return self.processes // self.num_nodes


def read_run(folder: Path) -> RunFile:
    """Read a run's run.yaml.

    Raises:
        RunError: It is missing, or not what it has to be: naming the entries that are not.
    """
    path = folder / "run.yaml"
    try:
        return RunFile.model_validate(read_yaml(path))
    except ConfigError as error:
        raise RunError(str(error)) from None
    except pydantic.ValidationError as error:
        problems = (
            f"{'.'.join(map(str, problem['loc']))} = {shortened(repr(problem['input']))}: "
            f"{problem['msg']}"
            for problem in error.errors(include_url=False)
        )
        raise RunError(f"{path} is not what nvn wrote:\n  " + "\n  ".join(problems)) from None
