"""The losses of the adversarial phase, as named terms with a coefficient each.

A relativistic pairing loss with gradient penalties on real and on fake bars (R3GAN, Huang et al. 2024), and a term that
holds the generator to how often each cell sounds. The names of the terms are the keys of the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

Critic = Callable[[Tensor, Tensor], Tensor]
"""Bars (n, steps, parts) floats and their labels (n, 3) → logits (n,), high for real."""


class GANLoss:
    """What the discriminator and the generator minimise.

    ``discriminator_terms`` and ``generator_terms`` compute the terms of a batch, ``total`` adds them up.

    Attributes:
        coefficients: term → what it is multiplied by in the total. A term without one is for the log only.
    """

    def __init__(self, r1_gamma: float, r2_gamma: float, rate_matching_coef: float) -> None:
        """Set the coefficients.

        Args:
            r1_gamma: strength of the gradient penalty on real bars; the total has half of it times ``r1``.
            r2_gamma: the same on fake bars.
            rate_matching_coef: coefficient of ``rate_matching``.
        """
        self.coefficients: Mapping[str, float] = {
            "loss_d": 1.0,
            "r1": r1_gamma / 2,
            "r2": r2_gamma / 2,
            "loss_g": 1.0,
            "rate_matching": rate_matching_coef,
        }

    def discriminator_terms(
        self, discriminator: Critic, real: Tensor, fake: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        """The terms of the discriminator's step; no gradient reaches the generator.

        Args:
            discriminator: gives the logits.
            real: (n, steps, parts) floats, bars of songs.
            fake: (n, steps, parts) floats, bars of the generator; each is paired with the real bar of its row.
            labels: (n, 3) ints, that both bars of a row have.

        Returns:
            Scalars: ``loss_d``, the mean of softplus(D(fake) − D(real)) (Jolicoeur-Martineau 2018); ``r1`` and ``r2``,
            the mean squared length of the discriminator's gradient at the real and at the fake bars (Mescheder et al.
            2018); ``logit_gap``, the mean of D(real) − D(fake).
        """
        real, fake = (bars.detach().requires_grad_(True) for bars in (real, fake))
        real_logit, fake_logit = discriminator(real, labels), discriminator(fake, labels)
        return {
            "loss_d": F.softplus(fake_logit - real_logit).mean(),
            "r1": squared_gradient(real_logit, real),
            "r2": squared_gradient(fake_logit, fake),
            "logit_gap": (real_logit - fake_logit).mean(),
        }

    def generator_terms(
        self, discriminator: Critic, real: Tensor, fake: Tensor, labels: Tensor, rates: Tensor
    ) -> dict[str, Tensor]:
        """The terms of the generator's step.

        Args:
            discriminator, real, labels: as ``discriminator_terms``.
            fake: as there, with a gradient to the generator.
            rates: (1 + roles, steps, parts) in 0 … 1, how often each cell sounds in the real bars of each role.

        Returns:
            Scalars: ``loss_g``, the mean of softplus(D(real) − D(fake)); ``rate_matching``, an unbiased estimate of the
            squared differences between how often each cell sounds in fake bars of a role and ``rates``, summed over the
            cells; the mean of the roles, weighted by their bars. A role of one bar counts as nothing.
        """
        with torch.no_grad():
            real_logit = discriminator(real, labels)
        return {
            "loss_g": F.softplus(real_logit - discriminator(fake, labels)).mean(),
            "rate_matching": _rate_matching(fake, labels[:, 1], rates),
        }

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The sum of the terms times their coefficients, a scalar to be minimised."""
        return torch.stack([self.coefficients[name] * terms[name] for name in terms if name in self.coefficients]).sum()


def _rate_matching(bars: Tensor, role: Tensor, rates: Tensor) -> Tensor:
    """See ``GANLoss.generator_terms``.

    With a bar's difference d from the rates of its role, the mean of d · d' over all pairs of two bars estimates the
    squared difference of the means. The square of the mean of d itself would be larger by the variance of a cell over
    the number of bars; a generator that minimised it would play its rare parts too rarely.
    """
    of_role = F.one_hot(role, len(rates)).to(bars.dtype)
    difference = bars - rates[role]
    total = torch.einsum("nr,nsp->rsp", of_role, difference)
    own = torch.einsum("nr,nsp->rsp", of_role, difference.square())
    count = of_role.sum(0)
    squared = (total.square() - own).sum((1, 2)) / (count * (count - 1)).clamp(min=1)
    return (squared * count).sum() / len(bars)


def squared_gradient(logits: Tensor, bars: Tensor) -> Tensor:
    """Mean squared length of the gradient of logits (n,) at bars (n, steps, parts); it can be differentiated again."""
    (gradient,) = torch.autograd.grad(logits.sum(), bars, create_graph=True)
    return gradient.square().sum((1, 2)).mean()
