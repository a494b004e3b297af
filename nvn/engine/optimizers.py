"""How a player steps: its optimizer, gradient clipping and learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from nvn.engine.groups import Groups, check_options, check_patterns, grouped
from nvn.engine.making import FACTORY, SCHEDULE, made_by
from nvn.engine.runtime import assign
from nvn.engine.warmup import step_in_part
from nvn.errors import ConfigError
from nvn.records import Pending


class OptimizerFactory(Protocol):
    """A function from a player's parameters to its optimizer: most often a `partial`.

    >>> from functools import partial
    >>> factory: OptimizerFactory = partial(torch.optim.Adam, lr=1e-4)
    >>> factory([nn.Parameter(torch.zeros(3))]).param_groups[0]["lr"]
    0.0001
    """

    def __call__(self, parameters: list[nn.Parameter], /) -> torch.optim.Optimizer:
        """Return the optimizer of these parameters."""


@dataclass(frozen=True)
class Plateau:
    """Lower the learning rate when a named metric stops improving.

    The metric is an energy, an objective (by its player's name) or what an evaluation returns.

    Attributes:
        metric: Its name.
        mode: Whether lower ("min") or higher ("max") is better.
        factor: What the learning rate is multiplied by.
        patience: How many readings without improvement are borne.
        every: A reading is the mean of this many values (losses of single batches are noisy).
        min_lr: The learning rate is never lowered below this.

    >>> from functools import partial
    >>> Optimizer(
    ...     partial(torch.optim.Adam, lr=1e-3), schedule=Plateau("accuracy", "max", patience=3)
    ... ).schedule.factor
    0.1
    """

    metric: str
    mode: Literal["min", "max"] = "min"
    factor: float = 0.1
    patience: int = 10
    every: int = 1
    min_lr: float = 0.0


@dataclass(frozen=True)
class Optimizer:
    """How a player steps.

    Attributes:
        factory: A function from a list of parameters to a torch optimizer, such as
            `partial(torch.optim.Adam, lr=1e-4)`.
        clip_value: Every element of the gradient is clamped to [-clip_value, clip_value].
        clip_norm: The gradient (clamped, if it is) is scaled down to this 2-norm if it is longer.
        schedule: A function from the optimizer to a torch learning-rate scheduler, which then
            advances with every step of the optimizer; or a `Plateau`.
        warmup: In the first so many steps the learning rate, whatever the schedule makes of it,
            is multiplied by 1/warmup, 2/warmup, …, 1.
        groups: Options of their own for parameters whose names fit a pattern (`fnmatch`): of
            several patterns that fit, the first counts. Others have the factory's options.

    Raises:
        ConfigError: The warm-up is not one of steps, or the groups are no mapping.

    A learning rate that is halved after each 100 steps of the player:

    >>> from functools import partial
    >>> adam = partial(torch.optim.Adam, lr=1e-4, betas=(0.5, 0.99))
    >>> halved = partial(torch.optim.lr_scheduler.StepLR, step_size=100, gamma=0.5)
    >>> Optimizer(adam, clip_norm=1.0, schedule=halved).clip_norm
    1.0
    """

    factory: OptimizerFactory
    clip_norm: float | None = None
    clip_value: float | None = None
    schedule: Callable[[torch.optim.Optimizer], LRScheduler] | Plateau | None = None
    warmup: int = 0
    groups: Groups = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if type(self.warmup) is not int or self.warmup < 0:
            raise ConfigError(
                f"an nvn.Optimizer with warmup={self.warmup!r}: expected a number of steps"
            )
        if not isinstance(self.groups, Mapping):
            raise ConfigError(
                f"an nvn.Optimizer with groups={self.groups!r}: expected options by patterns, such "
                'as {"*.bias": {"weight_decay": 0.0}}'
            )

    def made(self, parameters: Mapping[str, nn.Parameter]) -> torch.optim.Optimizer:
        """Return the torch optimizer of parameters, given by name.

        Raises:
            ConfigError: A pattern of `groups` fits no parameter, or an option is none.

        >>> from functools import partial
        >>> sgd = partial(torch.optim.SGD, lr=0.1, weight_decay=0.01)
        >>> split = Optimizer(sgd, groups={"*bias": {"weight_decay": 0.0}})
        >>> layer = nn.Linear(2, 2)
        >>> made = split.made(dict(layer.named_parameters()))
        >>> [(len(group["params"]), group["weight_decay"]) for group in made.param_groups]
        [(1, 0.01), (1, 0.0)]
        """
        if not self.groups:
            return self._made([*parameters.values()])
        check_patterns(parameters, self.groups)
        try:
            optimizer = self._made(grouped(parameters, self.groups))
        except Exception as error:
            error.add_note("with groups, a factory is given a list of groups, as torch.optim takes")
            raise
        check_options(optimizer, self.groups)
        return optimizer

    def _made(self, given: Any) -> torch.optim.Optimizer:
        return made_by(self.factory, given, "optimizer", "param_groups", FACTORY)


Optimizers = Mapping[str, OptimizerFactory | Optimizer] | OptimizerFactory | Optimizer


def as_optimizer(spec: OptimizerFactory | Optimizer) -> Optimizer:
    """Return `spec` with everything but the factory at its default, if it is only a factory.

    Raises:
        ConfigError: `spec` is neither.
    """
    if isinstance(spec, Optimizer):
        return spec
    if not callable(spec):
        raise ConfigError(
            f"an optimizer is given as a {type(spec).__name__}; expected a function of parameters, "
            "such as partial(torch.optim.Adam, lr=1e-4), or an nvn.Optimizer"
        )
    return Optimizer(spec)


class NoGradientError(RuntimeError):
    """A player is to step, but nothing has a gradient."""


class PlayerOptimizer:
    """One player's optimizer at work.

    Args:
        spec: How the player steps.
        parameters: What the optimizer is made for.
        correction: Of its learning rate (see `corrected`).
        learning: Those of them that learn at present, if they may rest: a list that changes.

    Attributes:
        skipped: How many steps were dropped, because their gradients were not finite.
    """

    def __init__(
        self,
        spec: Optimizer,
        parameters: Sequence[nn.Parameter] | Mapping[str, nn.Parameter],
        correction: float = 1.0,
        learning: Sequence[nn.Parameter] | None = None,
    ) -> None:
        named = parameters if isinstance(parameters, Mapping) else _numbered(parameters)
        self._spec = spec
        self._parameters = [*named.values()]
        self._learning = self._parameters if learning is None else learning
        self._strides = [parameter.stride() for parameter in self._parameters]
        self._clips = spec.clip_value is not None or spec.clip_norm is not None
        self.optimizer = corrected(spec.made(named), correction)
        if isinstance(self.optimizer, torch.optim.LBFGS):
            raise ConfigError(
                "LBFGS evaluates its objective several times a step, which a game's moves do not "
                "do; expected an optimizer that steps along one gradient"
            )
        self._scheduler = _scheduler(spec, self.optimizer)
        self._readings: list[float] = []
        self.skipped = 0
        self._warmed = 0  # steps of the warm-up that have been taken

    @property
    def scheduled(self) -> bool:
        """Whether its learning rate follows a schedule."""
        return self._scheduler is not None

    @property
    def rate(self) -> float:
        """Its learning rate, the largest of its groups'."""
        return max(float(group["lr"]) for group in self.optimizer.param_groups)

    def clear(self) -> None:
        """Forget what is in the parameters' `.grad`, from a backward pass of somebody else's."""
        for parameter in self._parameters:
            if parameter.grad is not None:
                parameter.grad = None

    def step(
        self,
        gradients: Sequence[Tensor | None] | None = None,
        *,
        norm: bool = True,
        skip: bool = False,
    ) -> Pending | None:
        """Step along `gradients`, one for each that learns (None: untouched); return their norm.

        Without `gradients`, along what has been added up in the parameters' `.grad`. The norm costs
        a kernel a parameter; without `norm`, None is returned. With `skip`, nothing happens but
        that `skipped` counts it, where a gradient is not finite.

        Raises:
            NoGradientError: There is nothing to step along.
        """
        if gradients is not None:
            some = len(self._learning) < len(self._parameters)
            assign(self._learning, gradients, None if some else self._strides)
        found = [p.grad for p in self._parameters if p.grad is not None]
        if not found:
            raise NoGradientError
        norms = torch._foreach_norm(_dense(found)) if norm or skip else []
        length = Pending(norms, _length) if norm else None
        if skip and not bool(torch.stack([n.to(norms[0].device) for n in norms]).isfinite().all()):
            self.skipped += 1
            self.clear()
            return length
        if self._clips:
            self._clip()
        if self._warmed < self._spec.warmup:
            self._warmed += 1
            step_in_part(self.optimizer, self._warmed / self._spec.warmup)
        else:
            self.optimizer.step()
        # Fused optimizers change parameters without telling autograd: it would go back
        # through a graph of old values and new weights without an error.
        increment_version(self._parameters)
        for parameter in self._parameters:
            parameter.grad = None
        if self._scheduler is not None and not isinstance(self._scheduler, ReduceLROnPlateau):
            self._scheduler.step()
        return length

    def metric(self, name: str, value: float) -> None:
        """Tell a plateau schedule a new value of a metric, if it is the one that it watches."""
        watched = self._spec.schedule
        if not isinstance(watched, Plateau) or watched.metric != name:
            return
        self._readings.append(value)
        if len(self._readings) >= watched.every:
            assert isinstance(self._scheduler, ReduceLROnPlateau)
            self._scheduler.step(sum(self._readings) / len(self._readings))
            self._readings.clear()

    @property
    def kept(self) -> frozenset[str] | None:
        """What the optimizer keeps of each parameter, as a step of another one shows.

        None if it cannot be told: some optimizers take parameters of certain shapes alone.
        """
        probe = nn.Parameter(torch.zeros(2, 2))
        try:
            optimizer = self._spec.factory([probe])
            probe.grad = torch.zeros(2, 2)
            optimizer.step()
        except Exception:  # noqa: BLE001  (the optimizer may be anybody's)
            return None
        return frozenset(optimizer.state[probe])

    def state_dict(self) -> dict[str, Any]:
        """Return everything that evolves here."""
        scheduler = None if self._scheduler is None else self._scheduler.state_dict()
        optimizer = self.optimizer.state_dict()
        return {
            "optimizer": optimizer,
            "scheduler": scheduler,
            "readings": [*self._readings],
            "skipped": self.skipped,
            "warmed": self._warmed,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.optimizer.load_state_dict(state["optimizer"])
        if self._scheduler is not None:
            self._scheduler.load_state_dict(state["scheduler"])
        self._readings = [*state["readings"]]
        self.skipped = state["skipped"]
        self._warmed = state["warmed"]

    def scale(self, factor: float) -> None:
        """Multiply the learning rate, that of now and that which a schedule starts from."""
        for group in self.optimizer.param_groups:
            for name in ("lr", "initial_lr"):
                if name in group:
                    group[name] *= factor
        if self._scheduler is not None and hasattr(self._scheduler, "base_lrs"):
            self._scheduler.base_lrs = [rate * factor for rate in self._scheduler.base_lrs]

    def _clip(self) -> None:
        if self._spec.clip_value is not None:
            torch.nn.utils.clip_grad_value_(self._parameters, self._spec.clip_value)
        if self._spec.clip_norm is not None:
            gradients = [p.grad for p in self._parameters if p.grad is not None]
            total = torch.nn.utils.get_total_norm(_dense(gradients))
            torch.nn.utils.clip_grads_with_norm_(self._parameters, self._spec.clip_norm, total)


def _numbered(parameters: Sequence[nn.Parameter]) -> dict[str, nn.Parameter]:
    return {str(number): parameter for number, parameter in enumerate(parameters)}


def _length(norms: Sequence[float]) -> float:
    return math.hypot(*norms)


def _dense(gradients: list[Tensor]) -> list[Tensor]:
    """Return the numbers of gradients, of sparse ones those that are there."""
    for gradient in gradients:
        if gradient.is_sparse:
            return [g.coalesce().values() if g.is_sparse else g for g in gradients]
    return gradients


def corrected(optimizer: torch.optim.Optimizer, correction: float) -> torch.optim.Optimizer:
    """Let Adam forget as fast as without the extra steps of lazy regularizers.

    With c the share of an optimizer's steps that are not the regularizers': lr·c and betas^c
    (Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN, appendix B).
    """
    if correction == 1.0:
        return optimizer
    for group in optimizer.param_groups:
        group["lr"] *= correction
        if "betas" in group:
            group["betas"] = tuple(beta**correction for beta in group["betas"])
    return optimizer


def _scheduler(spec: Optimizer, optimizer: torch.optim.Optimizer) -> LRScheduler | None:
    if isinstance(spec.schedule, Plateau):
        watch = spec.schedule
        return ReduceLROnPlateau(
            optimizer, watch.mode, watch.factor, watch.patience, min_lr=watch.min_lr
        )
    if spec.schedule is None:
        return None
    scheduler = made_by(spec.schedule, optimizer, "learning-rate schedule", "step", SCHEDULE)
    if isinstance(scheduler, ReduceLROnPlateau):
        raise ConfigError(
            "a learning-rate schedule returns a ReduceLROnPlateau, which needs to know its metric; "
            'expected schedule=nvn.Plateau("the metric\'s name", …)'
        )
    return scheduler
