"""The examples on physics-informed networks: problems and their laws, proofs, the fast runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import sympy
import torch

sys.path.append(str(Path(__file__).parents[1] / "examples"))

from helpers import assert_checks_passed, assert_png, run_script
from pinn.discovery import implied_constants, verify
from pinn.training import error, network_for, train
from pinn_heat import HEAT
from pinn_more import OSCILLATOR, WAVE

ALL = [pytest.param(physics, id=physics.name) for physics in (HEAT, OSCILLATOR, WAVE)]


def solution(physics):
    law = physics.parsed(physics.law).sympy()
    return law.subs({sympy.Symbol(name): value for name, value in physics.numbers.items()})


@pytest.mark.parametrize("physics", ALL)
def test_the_law_solves_its_problem(physics):
    rows = verify(physics, solution(physics), physics.constants)
    assert len(rows) > len(physics.conditions)
    assert all(row["largest on the domain"] < 1e-12 for row in rows)
    assert implied_constants(physics, solution(physics)) == pytest.approx(dict(physics.constants))


@pytest.mark.parametrize("physics", ALL)
def test_numbers_and_symbols_are_the_same_physics(physics):
    """The field of a network-like function against SymPy's derivatives of the same function."""
    u = sympy.sin(sum((i + 1) * sympy.Symbol(n) for i, n in enumerate(physics.coordinates))) + 1
    axes = sympy.symbols(physics.coordinates)
    points = physics.spread(20).double()
    function = sympy.lambdify(axes, u, "torch")
    field = physics.network_field(lambda p: function(*p.unbind(-1))[:, None], points)
    expected = sympy.lambdify(
        axes, physics.residual(physics.symbolic_field(u), physics.constants), "torch"
    )
    value = physics.residual(field, physics.constants)
    torch.testing.assert_close(value, expected(*points.detach().unbind(-1)).detach())


def test_a_wrong_equation_leaves_something():
    x, t = sympy.symbols("x t")
    rows = verify(HEAT, sympy.sin(sympy.pi * x) * sympy.exp(-t) + t**3, HEAT.constants)
    left = {row["substituted in"]: row["largest on the domain"] for row in rows}
    assert left["equation"] > 1
    assert left["u = sin(pi x) at t = 0"] < 1e-12
    assert left["u = 0 at x = 1"] > 0.9


@pytest.mark.parametrize(
    ("equation", "right"),
    [
        ("exp(-1.97*t)*sin(3.14*x)", True),
        ("0.99*sin(3.14*x)/exp(1.97*t)", True),
        ("exp(-1.97*t)*sin(3.14*x) + 0.001*t**3", False),
        ("exp(-1.97*t)*sin(3.14*x) + 0.001", False),
        ("exp(-1.97*t)*sin(3.14*x + 0.01)", False),
        ("x*(1 - x)*exp(-1.97*t)", False),
    ],
)
def test_only_the_form_of_the_law_counts(equation, right):
    found = HEAT.parsed(equation).sympy()
    numbers = HEAT.law_numbers(found)
    assert (numbers is not None) == right
    if right:
        assert numbers["k"] == pytest.approx(1.97)


def test_points_are_spread_over_domain_and_edges():
    torch.manual_seed(0)
    points = OSCILLATOR.spread(1000)
    assert points.min() < 0.1
    assert points.max() > 4.9
    ends = WAVE.on_edge(WAVE.conditions[2], 100)
    assert set(ends[:, 0].tolist()) == {0.0, 1.0}
    assert ends[:, 1].std() > 0.2


def test_training_with_physics_beats_training_without():
    torch.manual_seed(0)
    labelled, test = HEAT.spread(10), HEAT.spread(500)
    errors = {}
    for informed in (True, False):
        torch.manual_seed(0)
        trained = train(HEAT, labelled, 200, informed=informed)
        errors[informed] = error(HEAT, trained.network, test)
    assert errors[True] < 0.2 * errors[False]
    assert sum(p.numel() for p in network_for(HEAT).parameters()) == 2241


@pytest.mark.parametrize("script", ["pinn_heat.py", "pinn_more.py"])
def test_the_fast_run_finds_the_laws(script, tmp_path):
    picture = tmp_path / "errors.png"
    assert_checks_passed(run_script(f"examples/{script}", tmp_path, "--fast", "--figure", picture))
    assert_png(picture)
