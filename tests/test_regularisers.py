"""Regularisers against torch's own distributions and norms."""

import pytest
import torch
from helpers import randn
from torch.distributions import Normal, kl_divergence

from symtorch import InputError
from symtorch.regularisers import kl_to_standard_normal, l1

MU, LOGVAR = randn(7, 5, 3, dtype=torch.float64), randn(7, 5, 3, seed=1, dtype=torch.float64)


def test_l1_is_the_norm_of_each_message():
    torch.testing.assert_close(l1(MU), torch.linalg.vector_norm(MU, ord=1, dim=-1))


def test_kl_is_that_of_normal_distributions():
    expected = kl_divergence(Normal(MU, (LOGVAR / 2).exp()), Normal(0.0, 1.0)).sum(-1)
    torch.testing.assert_close(kl_to_standard_normal(MU, LOGVAR), expected)


def test_kl_keeps_its_digits_near_its_minimum():
    logvar = torch.tensor([[1e-6]], dtype=torch.float64)
    # exp(v) - 1 - v is v^2/2 there.
    assert float(kl_to_standard_normal(torch.zeros_like(logvar), logvar)) == pytest.approx(
        2.5e-13, rel=1e-3
    )


@pytest.mark.parametrize("term", [l1, lambda m: kl_to_standard_normal(m, 0.1 * m)])
def test_gradients_are_right(term):
    assert torch.autograd.gradcheck(term, MU[0].clone().requires_grad_())


def test_two_shapes_are_refused():
    with pytest.raises(InputError, match=r"one shape; got \[7, 5, 3\] and \[7, 5, 2\]"):
        kl_to_standard_normal(MU, LOGVAR[..., :2])
