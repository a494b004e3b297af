"""Adversarial losses of a critic's logits on real and on generated samples.

Each is a family of three energies. The critic minimizes `real(D(x))` and `fake(D(G(z)))`; the
generator minimizes `fool(D(G(z)))`. With l a logit and σ the logistic function, D = σ(l) is the
probability of real; each energy is the mean of this over all elements of the logits:

    loss              real           fake           fool
    Minimax           −log σ(l)      −log(1 − σ(l))  −fake
    NonSaturating     −log σ(l)      −log(1 − σ(l))  −log σ(l)
    Hinge             max(0, 1 − l)  max(0, 1 + l)   −l
    LeastSquares      ½(l − b)²      ½(l − a)²       ½(l − c)²
    Wasserstein       −l             l               −fake

−log σ(l) is computed as -F.logsigmoid(l), not as F.softplus(-l): that is cut off to −l where −l is
above 20, which float64 can tell.

Logits are a tensor (N, …), with further dimensions if the critic is a patch critic; they are never
probabilities. Logarithms are natural: energies are in nats. A multi-scale critic may return a list
of logits, one tensor per scale; all scales have the same weight. (The sum over scales, pix2pixHD's
eq. 3, is that times their number.) If a critic returns more than its logits, pass `D(x)[0]`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias, final

import torch
import torch.nn.functional as F
from torch import Tensor

from nvn.energies._tensors import check_same_shape, precise
from nvn.energies.formula import Formula, mean_of
from nvn.game import Energy, Value, WeightedSum, energy

Logits: TypeAlias = Value | Sequence[Value]


# --- base classes -----------------------------------------------------------------------------


class AdversarialLoss(ABC):
    """Three energies of a critic's logits. Derive from `ZeroSum` or `GeneralSum`.

    Losses are compared by equality: make yours a frozen dataclass, so that equal losses give the
    same energies. The `on_…` methods are elementwise, on tensors of float32 or float64.

    >>> Hinge() == Hinge(), LeastSquares() == LeastSquares(a=-1.0)
    (True, False)
    """

    saturates: ClassVar[bool] = False
    """Whether the gradient of `fake` vanishes where the critic is confident."""

    @abstractmethod
    def on_real(self, logits: Tensor) -> Tensor:
        """Return the critic's loss for each logit of a real sample."""

    @abstractmethod
    def on_fake(self, logits: Tensor) -> Tensor:
        """Return the critic's loss for each logit of a generated sample."""

    @abstractmethod
    def fool(self, logits: Logits) -> Energy | WeightedSum:
        """Return the generator's energy, of logits of generated samples."""

    def real(self, logits: Logits) -> Energy:
        """Return the critic's energy, of logits of real samples."""
        return energy(LogitLoss(self, type(self).on_real), name="real")(logits)

    def fake(self, logits: Logits) -> Energy:
        """Return the critic's energy, of logits of generated samples."""
        loss = LogitLoss(self, type(self).on_fake)
        return energy(loss, name="fake", saturating=self.saturates)(logits)


Family = AdversarialLoss  # its earlier name


class ZeroSum(AdversarialLoss):
    """A loss in which the generator maximizes the critic's energy `fake`.

    >>> from nvn import Game
    >>> @dataclass(frozen=True)
    ... class Squared(ZeroSum):
    ...     def on_real(self, logits: Tensor) -> Tensor:
    ...         return (logits - 1.0).square()
    ...
    ...     def on_fake(self, logits: Tensor) -> Tensor:
    ...         return (logits + 1.0).square()
    >>> logits = Game("toy").batch("logits")
    >>> print(Squared().fake(logits), "|", Squared().fool(logits))
    fake(logits) | - fake(logits)
    """

    def fool(self, logits: Logits) -> WeightedSum:
        """Return −fake(logits): the same energy, with weight −1."""
        return -self.fake(logits)


class GeneralSum(AdversarialLoss):
    """A loss in which the generator has an energy of its own.

    >>> from nvn import Game
    >>> @dataclass(frozen=True)
    ... class Margin(GeneralSum):
    ...     width: float = 1.0
    ...
    ...     def on_real(self, logits: Tensor) -> Tensor:
    ...         return (self.width - logits).relu()
    ...
    ...     def on_fake(self, logits: Tensor) -> Tensor:
    ...         return (self.width + logits).relu()
    ...
    ...     def on_fool(self, logits: Tensor) -> Tensor:
    ...         return -logits
    >>> print(Margin(2.0).fool(Game("toy").batch("logits")))
    fool(logits)
    """

    @abstractmethod
    def on_fool(self, logits: Tensor) -> Tensor:
        """Return the generator's loss for each logit of a generated sample."""

    def fool(self, logits: Logits) -> Energy:
        """Return the generator's energy, of logits of generated samples."""
        return energy(LogitLoss(self, type(self).on_fool), name="fool")(logits)


@dataclass(frozen=True)
class LogitLoss:
    """The function inside an adversarial energy: an elementwise loss, averaged over logits."""

    family: AdversarialLoss
    loss: Callable[[Any, Tensor], Tensor]

    @property
    def formulas(self) -> tuple[Formula, ...]:
        """What it computes, as one line: read off the family's method, if that is one `return`."""
        found = mean_of(self.loss, self.family)
        return () if found is None else (found,)

    def __call__(self, logits: Tensor | Sequence[Tensor]) -> Tensor:
        """Map logits (N, …), or a list of them, one per scale, to a scalar of shape ()."""
        if isinstance(logits, Tensor):
            return self.loss(self.family, precise(logits)).mean()
        return _mean([self.loss(self.family, precise(t)).mean() for t in _scales(logits)])


# --- losses -----------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Minimax(ZeroSum):
    """Goodfellow et al. 2014, "Generative Adversarial Nets", eq. 1 (arXiv 1406.2661).

    V = E log D(x) + E log(1 − D(G(z))) is −(real + fake): the critic maximizes V by minimizing
    real + fake, and log 4 of it remain where D = ½ everywhere. `fool` is log(1 − D), which
    saturates: its gradient vanishes where the critic is confident that the sample is generated.

    >>> Minimax().on_fake(torch.tensor([-4.0, 0.0, 4.0]))
    tensor([0.0181, 0.6931, 4.0181])
    """

    saturates = True

    def on_real(self, logits: Tensor) -> Tensor:
        """−log σ(l)."""
        return -F.logsigmoid(logits)

    def on_fake(self, logits: Tensor) -> Tensor:
        """−log(1 − σ(l)) = −log σ(−l)."""
        return -F.logsigmoid(-logits)


@final
@dataclass(frozen=True)
class NonSaturating(GeneralSum):
    """Goodfellow et al. 2014, section 3 (arXiv 1406.2661): the generator minimizes −log D(G(z)).

    The critic's energies are Minimax's. The gradient of `fool` is largest where the critic is
    confident that the sample is generated.

    >>> NonSaturating().on_fool(torch.tensor([-4.0, 0.0, 4.0]))
    tensor([4.0181, 0.6931, 0.0181])
    """

    saturates = True

    def on_real(self, logits: Tensor) -> Tensor:
        """−log σ(l)."""
        return -F.logsigmoid(logits)

    def on_fake(self, logits: Tensor) -> Tensor:
        """−log(1 − σ(l)) = −log σ(−l)."""
        return -F.logsigmoid(-logits)

    def on_fool(self, logits: Tensor) -> Tensor:
        """−log σ(l)."""
        return -F.logsigmoid(logits)


@final
@dataclass(frozen=True)
class Hinge(GeneralSum):
    """Lim & Ye 2017 (arXiv 1705.02894); Miyato et al. 2018, eqs. 16, 17 (arXiv 1802.05957).

    real and fake are zero, and flat, once the logits keep the margins l ≥ 1 and l ≤ −1.

    >>> Hinge().on_real(torch.tensor([-1.0, 0.5, 3.0]))
    tensor([2.0000, 0.5000, 0.0000])
    """

    saturates = True

    def on_real(self, logits: Tensor) -> Tensor:
        """max(0, 1 − l)."""
        return F.relu(1.0 - logits)

    def on_fake(self, logits: Tensor) -> Tensor:
        """max(0, 1 + l)."""
        return F.relu(1.0 + logits)

    def on_fool(self, logits: Tensor) -> Tensor:
        """−l."""
        return -logits


@final
@dataclass(frozen=True)
class LeastSquares(GeneralSum):
    """Mao et al. 2017, "Least Squares GANs", eq. 2 (arXiv 1611.04076).

    With the paper's ½ and means: ½E(l − b)², ½E(l − a)², ½E(l − c)². Code that takes a plain mean
    of squares (CycleGAN's) is this at twice the weight.

    Attributes:
        a: The critic's target for generated samples.
        b: The critic's target for real samples.
        c: The generator's target. The defaults are the paper's eq. 9; a=−1, b=1, c=0 (its eq. 8)
            satisfies b − c = 1 and b − a = 2, which makes it Pearson's χ² divergence.

    >>> LeastSquares().on_fool(torch.tensor([0.0, 1.0, 3.0]))
    tensor([0.5000, 0.0000, 2.0000])
    >>> LeastSquares(a=-1.0, b=1.0, c=0.0).on_fool(torch.tensor([0.0, 1.0, 3.0]))
    tensor([0.0000, 0.5000, 4.5000])
    """

    a: float = 0.0
    b: float = 1.0
    c: float = 1.0

    def on_real(self, logits: Tensor) -> Tensor:
        """½(l − b)²."""
        return 0.5 * (logits - self.b).square()

    def on_fake(self, logits: Tensor) -> Tensor:
        """½(l − a)²."""
        return 0.5 * (logits - self.a).square()

    def on_fool(self, logits: Tensor) -> Tensor:
        """½(l − c)²."""
        return 0.5 * (logits - self.c).square()


@final
@dataclass(frozen=True)
class Wasserstein(ZeroSum):
    """Arjovsky et al. 2017, "Wasserstein GAN", eqs. 2, 3 (arXiv 1701.07875).

    −(real + fake) = E D(x) − E D(G(z)) estimates the distance only if the critic is Lipschitz: see
    `gradient_penalty`. Logits are the critic's scores, without a unit of their own.

    >>> Wasserstein().on_real(torch.tensor([-2.0, 3.0]))
    tensor([ 2., -3.])
    """

    def on_real(self, logits: Tensor) -> Tensor:
        """−l."""
        return -logits

    def on_fake(self, logits: Tensor) -> Tensor:
        """Return l itself."""
        return logits


# --- pairs ------------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class RelativisticPaired:
    """Jolicoeur-Martineau 2018, "The relativistic discriminator" (arXiv 1807.00734), paired: RpGAN.

    The critic decides which of a pair is real: σ(l − l′) is the probability that l is the real
    one's logit. Huang et al. 2024 ("The GAN is dead", R3GAN, arXiv 2501.05441, eq. 2) use it with
    `r1` and `r2`; as there, the generator's energy is the non-saturating one.

    The i-th real sample is paired with the i-th generated one: the logits have the same shape.

    >>> from nvn import Game
    >>> real, fake = Game("toy").batch("real", "fake")
    >>> pairs = RelativisticPaired()
    >>> print(pairs.critic(real, fake), "|", pairs.fool(fake, real))
    critic(real, fake) | fool(fake, real)
    """

    def critic(self, real_logits: Logits, fake_logits: Logits) -> Energy:
        """Return −E log σ(real − fake), in nats: the critic's energy.

        Raises:
            ValueError: when it is computed, if the shapes differ.
        """
        made = energy(PairedLoss("critic"), name="critic", saturating=True)
        return made(real_logits, fake_logits)

    def fool(self, fake_logits: Logits, real_logits: Logits) -> Energy:
        """Return −E log σ(fake − real), in nats: the generator's energy. Note the order.

        Raises:
            ValueError: when it is computed, if the shapes differ.
        """
        return energy(PairedLoss("fool"), name="fool")(fake_logits, real_logits)


@dataclass(frozen=True)
class PairedLoss:
    """The function inside a paired energy: −E log σ(winner − loser)."""

    name: str

    formulas: ClassVar = (
        Formula(("winner", "loser"), "-F.logsigmoid(winner - loser).mean()", "mean"),
    )

    def __call__(
        self, winner: Tensor | Sequence[Tensor], loser: Tensor | Sequence[Tensor]
    ) -> Tensor:
        """Map two logits (N, …), or lists of such of the same shapes, to a number of shape ()."""
        winners, losers = _scales(winner), _scales(loser)
        if len(winners) != len(losers):
            raise ValueError(f"{self.name}: found {len(winners)} scales and {len(losers)}")
        return _mean([self._loss(w, o) for w, o in zip(winners, losers, strict=True)])

    def _loss(self, winner: Tensor, loser: Tensor) -> Tensor:
        check_same_shape(self.name, winner, loser)
        return -F.logsigmoid(precise(winner) - precise(loser)).mean()


# --- tensors ----------------------------------------------------------------------------------


def _scales(logits: Tensor | Sequence[Tensor]) -> Sequence[Tensor]:
    """Return the logits as a sequence of tensors, one per scale.

    Raises:
        TypeError: `logits` is neither a tensor nor a list of tensors.
        ValueError: the tensors cannot be the scales of one critic: they differ in the number of
            samples or of dimensions. (Most often these are logits and features.)
    """
    scales = [logits] if isinstance(logits, Tensor) else logits
    if not isinstance(scales, list | tuple) or not all(isinstance(t, Tensor) for t in scales):
        given = [type(t).__name__ for t in scales] if isinstance(scales, list | tuple) else scales
        raise TypeError(f"logits are a tensor, or a list of tensors, one per scale; found {given}")
    if len({(t.shape[:1], t.ndim) for t in scales}) != 1:
        shapes = ", ".join(str(tuple(t.shape)) for t in scales)
        raise ValueError(f"not the scales of one critic: logits of the shapes [{shapes}]")
    return scales


def _mean(numbers: Sequence[Tensor]) -> Tensor:
    return numbers[0] if len(numbers) == 1 else torch.stack(list(numbers)).mean()
