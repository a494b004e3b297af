"""Rendered faces as a source of pairs."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import torch

import nvn

from .. import store
from ..pairs import Pairs
from .faces import Faces, FacesSpec, render_faces
from .rig import EXPRESSIONS


@dataclass(frozen=True)
class RenderedFaces:
    """The faces of a spec, from the cache if an earlier run rendered them."""

    spec: FacesSpec

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the expressions."""
        return EXPRESSIONS

    def read(self) -> Pairs:
        """Return every pair."""
        return paired(rendered(self.spec, store.default_cache()), self.spec.levels)

    def sample(self, count: int) -> Pairs:
        """Return the pairs of the first few people: rendering all of them would take minutes."""
        each = self.spec.sequences * self.spec.levels // self.spec.subjects
        few = replace(self.spec, subjects=min(self.spec.subjects, -(-count // each)))
        return paired(rendered(few), few.levels)


def paired(faces: Faces, levels: int) -> Pairs:
    """Return faces as pairs; each neutral picture and each peak serves `levels` weak ones."""
    sequences = len(faces) // levels
    which = torch.arange(len(faces)) // levels
    return Pairs(
        pictures=torch.cat([faces.neutral[::levels], faces.peak[::levels], faces.weak]),
        neutral=which,
        peak=sequences + which,
        weak=2 * sequences + torch.arange(len(faces)),
        label=faces.label,
        subject=faces.subject,
        classes=faces.classes,
        intensity=faces.intensity,
    )


def rendered(spec: FacesSpec, cache: Path | None = None) -> Faces:
    """Return the faces of a spec, with a bar while they are rendered (not if they are cached)."""
    with ExitStack() as stack:
        bar: nvn.Bar | None = None

        def show(done: int, total: int) -> None:
            nonlocal bar
            bar = bar or stack.enter_context(nvn.progress("rendering faces", total))
            bar.reach(done)

        return render_faces(spec, cache, show)
