"""What the games share that magnify expressions: settings, phases before, measures after.

A generator makes peaks of weak faces, for a classifier C to recognize. C stands beside the game;
a judge that no player ever meets learns real peaks too, and says how much was magnified.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import ClassVar, TypeAlias

from pydantic import Field

import nvn
from nvn import energies as en

from . import networks as nets
from .applying import Changed, FacePart
from .data.pairs import Split
from .data.photographs.cropping import GRAY
from .data.rendered.smiling import RenderedSmiles
from .evaluation.confusion import Confusion
from .evaluation.differences import Differences
from .evaluation.faces import Faces
from .evaluation.heatmaps import HeatMaps
from .evaluation.recognition import Recognition
from .fitting import MOST, Presets, Rate, Steps, extended
from .play import Play, doubt
from .rules import Conventional
from .settings import ExpressionConfig, Networks, Training

Toward: TypeAlias = nvn.Energy | nvn.WeightedSum

# Phases before the game that there are twice: first on rendered smiles, then on the set's own.
RENDERED = MappingProxyType({"pretraining": "rendered_pretraining", "warmup": "rendered_warmup"})
RENDERED_PEOPLE = 200
MORE_VARIED = 2.0  # than photographs are rendered smiles, so that what is learned holds for these


class MakingNetworks(Networks):
    """Settings of the networks, a generator among them."""

    presets: ClassVar[Presets] = extended(Networks.presets, paper={"residual": False})

    residual: bool = Field(True, description="G makes the difference to its input, with skips")

    def _problems(self) -> Iterator[str]:
        yield from super()._problems()
        if self.published_init and self.residual:
            yield (
                "published_init = true: its biases of 1 would have G add 1 to every pixel; "
                "set residual to false, as published"
            )


class PlayTraining(Training):
    """Settings of how players learn, before the game and in it."""

    presets: ClassVar[Presets] = extended(
        Training.presets,
        gpu={"peaks": 2000, "pretraining": 4000, "warmup": 20_000, "steps": 5000},
        paper={  # section 4.2 and Algorithm 1
            "autoencode": True,
            "peaks": 10_000,
            "pretraining": 10_000,
            "learns_weak": False,
            "warmup": 10_000,
            "lr": 1e-4,
        },
        london={
            "peaks": 300,
            "rendered_pretraining": 300,
            "rendered_warmup": 1500,
            "pretraining": 500,
            "warmup": 1000,
            "steps": 300,
        },
    )

    peaks: Steps = Field(200, description="steps of phase peaks: the judge learns real peaks")
    pretraining: Steps = Field(800, description="steps of phase pretraining: C and E learn")
    learns_weak: bool = Field(
        True, description="phase pretraining: learn weak faces and real peaks, or peaks only"
    )
    warmup: Steps = Field(1500, description="steps of phase warmup: G learns without critics")
    rendered_pretraining: int = Field(
        0, ge=0, le=MOST, description="london: steps of pretraining on rendered smiles, before it"
    )
    rendered_warmup: int = Field(
        0, ge=0, le=MOST, description="london: steps of warmup on rendered smiles, before these"
    )
    autoencode: bool = Field(False, description="in phase warmup G copies peaks: no magnifying")
    steps: Steps = Field(150, description="steps of phase main, the game itself")
    lr: Rate = Field(4e-4, description="learning rate in the game")

    def in_play(self) -> nvn.Optimizer:
        """Return how players step in the game: at `lr`, a tenth once G's losses stop falling."""
        plateau = nvn.Plateau("G", every=100, patience=10, factor=0.1, min_lr=self.lr / 10)
        return nvn.Optimizer(self.stepping(self.lr, beta1=0.5), schedule=plateau)


class MagnifyingConfig(ExpressionConfig):
    """Settings of a game in which a generator magnifies."""

    networks: MakingNetworks = MakingNetworks()
    training: PlayTraining = PlayTraining()
    game: Conventional = Conventional()

    def _problems(self) -> Iterator[str]:
        yield from super()._problems()
        for name in RENDERED.values():
            if (steps := getattr(self.training, name)) and self.data.kind != "london":
                yield f"training.{name} = {steps}: rendered smiles are for data.kind = london"

    @cached_property
    def rendered(self) -> Split:
        """Rendered smiles, all but one person's to train on."""
        data = self.data
        source = RenderedSmiles(RENDERED_PEOPLE, data.side)
        return Split(source, data.size, 0, RENDERED_PEOPLE, MORE_VARIED * data.variation)

    def generator(self, features: int = 0) -> nets.Generator:
        """Make a generator, one that is told `features` of an expression."""
        given = self.networks
        return given.prepared(nets.Generator(given.width, features, residual=given.residual))

    def critics(self, names: Sequence[str], features: int = 0) -> dict[str, nets.Critic]:
        """Make critics, told `features` of an expression, for players of some names."""
        return {name: self.critic(features) for name in names}

    def critic(self, features: int = 0) -> nets.Critic:
        """Make a critic, one that is told `features` of an expression."""
        widths = nets.critic_widths(self.networks.width)
        return self.networks.prepared(nets.Critic(widths, features, self.data.size))


@dataclass(frozen=True)
class Magnifying:
    """A game that magnifies, as far as all of them are the same.

    Attributes:
        config: The settings.
        game: The game.
        weak: X_weak, (N, 3, H, W).
        peak: X_peak, (N, 3, H, W), of the same people.
        label: y, (N,), of both.
        C: The classifier, K classes.
        judge: Another, which the game never meets.
    """

    config: MagnifyingConfig
    game: nvn.Game
    weak: nvn.Value
    peak: nvn.Value
    label: nvn.Value
    C: nvn.Player
    judge: nvn.Player

    @classmethod
    def declared(cls, name: str, config: MagnifyingConfig) -> Magnifying:
        """Declare the batch, C and the judge."""
        game = nvn.Game(name)
        weak, peak, label = game.batch("weak", "peak", "label")
        C, judge = (game.player(p, config.network(nets.Classifier)) for p in ("C", "judge"))
        return cls(config, game, weak, peak, label, C, judge)

    def play(self, made: nvn.Value, *condition: nvn.Value) -> Play:
        """Return the energies between a made picture and those who judge it."""
        return Play(self.config.game.adversarial, self.weak, self.peak, made, condition)

    def content(self, made: nvn.Value, extractor: nvn.Player | None = None) -> nvn.Energy:
        """Return Φ_G of a made picture: (12), or (20), Ψ being the extractor; without one, C."""
        psi = (extractor or self.C).method("extract", training=False)
        return self.play(made).content(self.config.game.content, psi)

    def expression(self, made: nvn.Value) -> nvn.Energy:
        """Return Φ_C of a made picture, (11): C's cross-entropy. Others don't touch C's state."""
        return en.cross_entropy(self.C.method("forward", training=False)(made), self.label)

    def doubt(self, made: nvn.Value) -> nvn.Energy:
        """Return how unsure C is of a made picture."""
        return doubt(self.C.method("forward", training=False)(made))

    def moves(self, critics: Sequence[nvn.Player], synthesis: Sequence[nvn.Player]) -> nvn.Schedule:
        """Return who moves when: first who judges, then who makes; or, by Algorithm 1, each alone.

        The critics and C don't see each other: moving together is moving one after the other.
        """
        learner = [self.C] if self.config.game.classifier == "cotrained" else []
        if self.config.game.algorithm1:
            return nvn.alternating(*critics, *synthesis, *learner, fresh=True)
        return nvn.alternating(nvn.move(*critics, *learner), nvn.move(*synthesis))

    def learned(self, on_peaks: nvn.Value, on_weak: nvn.Value) -> Toward:
        """Return what is learned in phase pretraining, of logits (N, K) of peaks and weak faces."""
        peaks = en.cross_entropy(on_peaks, self.label)
        weak = en.cross_entropy(on_weak, self.label)
        return peaks + weak if self.config.training.learns_weak else peaks

    def before(
        self,
        name: str,
        players: Sequence[nvn.Player],
        toward: Toward,
        data: nvn.data.Data | None = None,
    ) -> nvn.Phase:
        """Return a phase before the game: as many steps as the setting of its name says."""
        move = nvn.move(*players, toward=toward, optimizer=name)
        return nvn.Phase(name, nvn.alternating(move), getattr(self.config.training, name), data)

    def twice(self, phases: Mapping[str, tuple[Sequence[nvn.Player], Toward]]) -> list[nvn.Phase]:
        """Return phases before the game, those on rendered smiles first, as far as they last."""
        training = self.config.training
        rendered = [name for name in phases if getattr(training, RENDERED[name])]
        smiles = self.config.rendered.batches(training.batch, seed=2) if rendered else None
        first = [self.before(RENDERED[name], *phases[name], data=smiles) for name in rendered]
        return first + [self.before(name, *each) for name, each in phases.items()]

    def recipe(
        self,
        name: str,
        schedule: nvn.Schedule,
        *,
        G: nvn.Player,
        extractor: nvn.Player | None = None,
        made: nvn.Value,
        copied: nvn.Value,
        pretrained: Mapping[nvn.Player, Toward] = MappingProxyType({}),
        others: Mapping[str, nvn.Value] = MappingProxyType({}),
        features: Mapping[str, nvn.Value] = MappingProxyType({}),
    ) -> nvn.Recipe:
        """Return the recipe of a game.

        Args:
            name: Its name.
            schedule: Who moves when in the game.
            G: The generator.
            extractor: E, if there is one.
            made: X_fake.
            copied: What G makes of a peak, for auto-encoding.
            pretrained: Who learns before the game besides C and G, and what.
            others: Further logits (N, K) of the weak picture, and who gives them.
            features: Further features (N, F) of the weak picture, and who extracts them.
        """
        config, training = self.config, self.config.training
        C, weak, peak = self.C, self.weak, self.peak
        if config.game.classifier == "cotrained":
            self._cotrain(made)
        first = self.content(copied if training.autoencode else made, extractor)
        learned = sum(pretrained.values(), start=self.learned(C(peak), C(weak)))
        before = [
            self.before("peaks", [self.judge], en.cross_entropy(self.judge(peak), self.label)),
            *self.twice({"pretraining": ((C, *pretrained), learned), "warmup": ((G,), first)}),
        ]
        pairs, data = config.pairs, config.data
        answers = {"C": C(weak), **others}
        recognition = Recognition(pairs, weak, C(made), made, self.judge(weak), answers)
        return nvn.Recipe(
            name=name,
            game=self.game,
            schedule=schedule,
            optimizers={
                **dict.fromkeys((p.name for p in schedule.players), training.in_play()),
                **{phase.name: training.early(phase.steps) for phase in before},
            },
            data=pairs.batches(training.batch, seed=1),
            steps=training.steps,
            phases=before,
            evaluations=[nvn.Evaluation("recognition", recognition)],
            previews=self._previews(made, features),
            application=nvn.Application(
                "magnified",
                Changed(weak, made, data.size, part=FacePart(data.seen), border=GRAY[0]),
            ),
        )

    def _cotrain(self, made: nvn.Value) -> None:
        """Let C learn "expression features of the real and fake images" beside the game."""
        for seen in (self.peak, self.weak, made):
            self.C.minimizes(en.cross_entropy(self.C(seen), self.label) / 3)

    def _previews(self, made: nvn.Value, features: Mapping[str, nvn.Value]) -> list[nvn.Preview]:
        """Return the pictures of a run: faces, and the paper's Fig. 5, Table 2 and Fig. 4."""
        pairs, training = self.config.pairs, self.config.training
        weak, C = self.weak, self.C
        extracted = {**features, "C, of the magnified": C.method("extract")(made)}
        return [
            nvn.Preview(
                "faces",
                Faces(pairs, weak, made),
                every=50,
                early={"peaks": training.peaks, "warmup": -(-training.warmup // 5)},
            ),
            nvn.Preview("heat_maps", HeatMaps(pairs, weak, made)),
            nvn.Preview("confusion", Confusion(pairs, weak, C(made))),
            nvn.Preview("differences", Differences(pairs, weak, extracted)),
        ]
