"""The Lorenz example: its systems, its judge of equations, hidden coordinates, the fast run."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import sympy
import torch
from scipy.integrate import solve_ivp

sys.path.append(str(Path(__file__).parents[1] / "examples"))

from chaos.hidden import (
    LatentDynamics,
    Principal,
    StateFrame,
    affine_map,
    best_quadratic,
    learn,
    observe,
    quadratic,
)
from chaos.system import TERMS, lorenz, on_attractor, roll_out, time_to_divergence
from helpers import assert_checks_passed, assert_png, run_script
from lorenz import compare


def states(count=300, seed=0):
    return on_attractor(count, torch.Generator().manual_seed(seed))


def test_terms_and_flow_are_the_same_law():
    x, y, z = sympy.symbols("x y z")
    point = {x: 1.5, y: -2.0, z: 20.0}
    flow = lorenz(torch.tensor([*map(float, point.values())], dtype=torch.float64))
    for rate, terms in zip(flow.tolist(), TERMS.values(), strict=True):
        law = sum(c * sympy.sympify(term) for term, c in terms.items())
        assert float(law.subs(point)) == pytest.approx(rate)


def test_trajectories_are_those_of_scipy():
    start = states(1)[0]
    reference = solve_ivp(
        lambda _, s: lorenz(torch.from_numpy(s)).numpy(), (0, 2), start.numpy(), rtol=1e-10
    ).y[:, -1]
    assert np.abs(roll_out(lorenz, start, 0.005, 400)[-1].numpy() - reference).max() < 1e-3


def test_divergence_is_timed():
    truth = roll_out(lorenz, states(4), 0.01, 1500)
    assert (time_to_divergence(truth, truth, 0.01) == 15.0).all()
    shifted = truth.clone()
    shifted[700:, 1] += 100
    shifted[300:, 2] = torch.nan
    assert time_to_divergence(truth, shifted, 0.01).tolist() == [15.0, 7.0, 3.0, 15.0]


def test_only_the_terms_of_the_law_are_right():
    x, y = sympy.symbols("x y")
    assert compare("x", 10.1 * y - 9.9 * x) == {
        "derivative of": "x",
        "terms right": True,
        "coefficients off by": pytest.approx(0.01),
    }
    assert not compare("x", 10 * y - 10 * x + 0.001)["terms right"]
    assert compare("x", 10 * y)["coefficients off by"] == 1


def test_observations_have_the_rates_of_the_states():
    start, step = states(5), 1e-5
    later = roll_out(lorenz, start, step, 1)[-1]
    (before, rate), (after, _) = observe(start), observe(later)
    torch.testing.assert_close((after - before) / step, rate, rtol=1e-3, atol=1e-3)
    assert before.shape == (5, 128)
    components = Principal.of(observe(states())[0])
    assert components.directions.shape == (128, 6)


def test_dynamics_in_another_frame_are_the_same():
    s = states()
    turn = torch.randn(3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    latent = (s - 20) @ turn
    frame = affine_map(latent, s)
    torch.testing.assert_close(frame(latent), s)
    torch.testing.assert_close(frame.inverse(s), latent)
    rates = lorenz(s) @ turn
    coefficients = torch.linalg.lstsq(quadratic(latent), rates).solution
    dynamics = LatentDynamics(coefficients)
    torch.testing.assert_close(
        StateFrame(dynamics, frame)(s).detach(), lorenz(s), atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(
        quadratic(latent) @ best_quadratic(latent, rates), rates, atol=0.1, rtol=0.1
    )


# Forward-mode derivatives load parts of torch that torch itself has deprecated.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_training_on_observations_finds_coordinates_with_quadratic_dynamics():
    torch.manual_seed(0)
    observations, rates = observe(states(1000))
    principal = Principal.of(observations)
    tables = principal(observations).float(), principal.of_rates(rates).float()
    start, learned = learn(*tables, 1), learn(*tables, 300)
    assert learned.consistency < 0.5 * start.consistency
    assert learned.reconstruction < 0.5 * start.reconstruction


def test_the_fast_run_finds_the_law(tmp_path):
    picture = tmp_path / "trajectories.png"
    assert_checks_passed(run_script("examples/lorenz.py", tmp_path, "--fast", "--figure", picture))
    assert_png(picture)
