"""Regularisers that make a network's messages sparse, so that equations can be found for them.

Terms to add to a training loss, after M. Cranmer et al., "Discovering Symbolic Models from
Deep Learning with Inductive Biases", arXiv 2006.11287, section 3: both remove the
information from messages that the task does not need.
"""

from __future__ import annotations

import torch

from ..errors import InputError


def l1(messages: torch.Tensor) -> torch.Tensor:
    """The size of each message: ``sum_k |m_k|``, [..., dims] -> [...].

    >>> l1(torch.tensor([[1.0, -2.0], [0.0, 0.5]]))
    tensor([3.0000, 0.5000])

    Average it over the messages of a batch and weigh it against the task's loss (the paper
    uses 1e-2): ``loss + 1e-2 * l1(messages).mean()``.

    Args:
        messages: features in the last axis.
    """
    return messages.abs().sum(-1)


def kl_to_standard_normal(mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """The information in each message: ``sum_k (exp(logvar_k) + mu_k^2 - 1 - logvar_k) / 2``.

    >>> mu, logvar = torch.tensor([[2.0, 0.0]]), torch.zeros(1, 2)
    >>> kl_to_standard_normal(mu, logvar)                   # [..., dims] -> [...], in nats
    tensor([2.])

    The divergence of ``N(mu, exp(logvar))``, dimensions independent, from ``N(0, 1)``, in
    closed form. A network with twice as many outputs gives ``mu`` and ``logvar``; the message
    is a draw, ``mu + exp(logvar / 2) * torch.randn_like(mu)``, in training mode, and ``mu`` in
    eval mode. The paper adds the mean over the messages with weight 1.

    Args:
        mu: means, dimensions in the last axis.
        logvar: logarithms of the variances, in the shape of ``mu``.

    Raises:
        InputError: the shapes differ.
    """
    if mu.shape != logvar.shape:
        raise InputError(
            f"mu and logvar must have one shape; got {[*mu.shape]} and {[*logvar.shape]}"
        )
    # expm1, because exp(v) - 1 loses all digits where the variance is almost 1.
    return (logvar.expm1() - logvar + mu.square()).sum(-1) / 2
