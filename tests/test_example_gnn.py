"""The example on graph networks: its physics, its judge of laws, and the fast run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import sympy
import torch
from torch import nn

from symtorch import SymbolicModel, wrap
from symtorch.errors import StateError

sys.path.append(str(Path(__file__).parents[1] / "examples"))

from gnn.gauge import centred, reduced
from gnn.laws import judge, span_the_plane
from gnn.messages import Messages, explained
from gnn.networks import EdgeNetwork, Forces, GaussianEdgeNetwork, NodeNetwork, pairs
from gnn.simulation import (
    LAWS,
    MASS,
    SOFTENING,
    VX,
    Data,
    Snapshots,
    leapfrog,
    random_state,
)
from gnn.training import VARIANTS, network, train
from helpers import assert_checks_passed, run_script


def states(systems: int = 5, particles: int = 4, seed: int = 0) -> torch.Tensor:
    return random_state(systems, particles, torch.Generator().manual_seed(seed))


def potential(name: str, state: torch.Tensor) -> torch.Tensor:
    """The potentials as the issue states them, over unordered pairs: [...]."""
    total = torch.zeros(state.shape[:-2], dtype=state.dtype)
    for i in range(state.shape[-2]):
        for j in range(i):
            a, b = state[..., i, :], state[..., j, :]
            d = (a[..., :2] - b[..., :2]).norm(dim=-1) + 0.01
            total = (
                total
                + {
                    "spring": (d - 1) ** 2,
                    "r1": a[..., 5] * b[..., 5] * d.log(),
                    "r2": -a[..., 5] * b[..., 5] / d,
                    "charge": a[..., 4] * b[..., 4] / d,
                }[name]
            )
    return total


# -- simulation -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAWS)
def test_accelerations_are_minus_the_gradient_of_the_potential_over_mass(name):
    state = states().requires_grad_()
    (gradient,) = torch.autograd.grad(potential(name, state).sum(), state)
    wanted = -gradient[..., :VX] / state[..., MASS, None]
    torch.testing.assert_close(LAWS[name].acceleration(state), wanted.detach())


def test_leapfrog_keeps_the_energy():
    law, start = LAWS["spring"], states()
    end = leapfrog(law.acceleration, start, law.time_step, 200)[-1]

    def energy(state: torch.Tensor) -> torch.Tensor:
        kinetic = 0.5 * (state[..., MASS] * state[..., VX:4].square().sum(-1)).sum(-1)
        return kinetic + potential("spring", state)

    assert not torch.equal(end, start)
    torch.testing.assert_close(energy(end), energy(start), rtol=1e-2, atol=1e-2)


def test_data_is_split_by_simulation_and_cut():
    data = Data.of(LAWS["r2"], 10, seed=0)

    # Masses are a simulation's fingerprint.
    def simulations(snapshots: Snapshots) -> set[float]:
        return set(snapshots.states[:, 0, MASS].tolist())

    assert len(simulations(data.train)) == 8
    assert len(simulations(data.test)) == 2
    assert not simulations(data.train) & simulations(data.test)
    assert data.train.accelerations.norm(dim=-1).max() < 100
    again = Data.of(LAWS["r2"], 10, seed=0)
    assert torch.equal(again.train.states, data.train.states)


# -- networks ---------------------------------------------------------------------------------


def test_the_mass_of_the_receiver_can_be_hidden_from_the_edge_network():
    x_i, x_j = pairs(states().float())
    heavier = x_i.clone()
    heavier[..., MASS] += 1
    for sees in (False, True):
        edge = EdgeNetwork(3, sees)
        assert torch.equal(edge(x_i, x_j), edge(heavier, x_j)) is not sees


def test_dense_pairs_compute_what_message_passing_computes():
    pytest.importorskip("torch_geometric")
    from gnn.distillation import graph_of
    from gnn.message_passing import MessagePassingForces

    forces = Forces(EdgeNetwork(3, True), NodeNetwork(3))
    layer = MessagePassingForces(forces.edge, forces.node)
    systems = states().float()
    nodes, edges = graph_of(systems)
    assert edges.shape == (2, 5 * 12)
    torch.testing.assert_close(layer(nodes, edges), forces(systems).flatten(0, 1))

    block = wrap(layer, "edge")["edge"]
    fronts = block.distill(
        graph_of(systems),
        parent_model=layer,
        output_dim=0,
        variable_transforms={"dx": "x_j_0 - x_i_0", "m2": "x_j_5"},
        sr_params={"niterations": 1},
        engine="sparse",
    )
    assert fronts[0].variables == ("dx", "m2")
    with block.symbolic():
        assert layer(nodes, edges).shape == (20, 2)


def test_gaussian_messages_are_their_means_when_not_training():
    edge = GaussianEdgeNetwork(4, True)
    x_i, x_j = pairs(states().float())
    mu, logvar = edge.distribution(x_i, x_j)
    assert mu.shape == logvar.shape == (5, 12, 4)
    assert torch.equal(edge(x_i, x_j), mu)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_trains_and_is_the_same_under_a_seed(variant):
    data = Data.of(LAWS["spring"], 5, seed=0)
    forces = train(VARIANTS[variant], data.train, 6, False, seed=1)
    again = train(VARIANTS[variant], data.train, 6, False, seed=1)
    assert isinstance(forces.edge, SymbolicModel)
    accelerations = forces(data.test.states)
    assert accelerations.shape == data.test.accelerations.shape
    assert torch.equal(accelerations, again(data.test.states))
    copy = network(VARIANTS[variant], False).eval()
    copy.load_state_dict(forces.state_dict())
    assert torch.equal(copy(data.test.states), accelerations)


def test_pruning_ends_at_two_live_messages():
    data = Data.of(LAWS["spring"], 5, seed=0)
    forces = train(VARIANTS["pruning"], data.train, 10, False, seed=1)
    assert len(forces.edge.get_active_dimensions()) == 2
    assert Messages.of(forces, LAWS["spring"], data.test.states).live == 2
    plain = train(VARIANTS["standard"], data.train, 2, False, seed=1)
    with pytest.raises(StateError):
        plain.edge.get_active_dimensions()


# -- messages ---------------------------------------------------------------------------------


class TrueForces(nn.Module):
    """Messages that are a linear map of the force, in six dimensions of which four vary."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.law = LAWS[name]
        self.register_buffer("map", torch.tensor([[1.0, 2, 0, 3, 0, 1], [0, 1, 0, 1, 0, -2]]))

    def forward(self, x_i: torch.Tensor, x_j: torch.Tensor) -> torch.Tensor:
        return self.law.force(x_i, x_j) @ self.map + 0.5


@pytest.mark.parametrize("name", LAWS)
def test_true_forces_are_seen_as_such(name):
    systems = states(100).float()
    forces = Forces(TrueForces(name), NodeNetwork(6))
    messages = Messages.of(forces, LAWS[name], systems)
    assert (messages.live, messages.rank) == (4, 2)
    assert messages.share_of_two == pytest.approx(1)
    targets = messages.targets()
    for two in (messages.widest(), messages.principal()):
        assert min(explained(two, targets["F"])) == pytest.approx(1, abs=1e-6)
        assert max(explained(two, targets["F/m_i"])) < 0.99
    assert messages.trimmed(0.3).apart.min() > 0.3


def test_two_principal_components_do_for_messages_of_rank_two():
    systems = states(50).float()
    forces = Forces(TrueForces("spring"), NodeNetwork(6))
    small = reduced(forces, systems)
    assert small.edge(*pairs(systems)).shape[-1] == 2
    torch.testing.assert_close(small(systems), forces(systems), rtol=1e-3, atol=1e-4)


def test_centring_takes_the_constant_out_and_leaves_the_rest():
    systems = states(2000).float()
    forces = Forces(TrueForces("spring"), NodeNetwork(6))
    same = centred(forces, systems)
    torch.testing.assert_close(same(systems), forces(systems), rtol=1e-3, atol=1e-4)
    receivers, senders = pairs(systems)
    constant = same.edge(receivers, senders) - LAWS["spring"].force(receivers, senders) @ (
        forces.edge.map
    )
    assert constant.abs().max() < 0.05  # of 0.5


# -- the judge --------------------------------------------------------------------------------

RIGHT = [
    ("spring", "1.439*dx + 1.276*dy + 0.23 - (1.444*dx + 1.280*dy)/r", "F"),
    ("spring", "(1.3*dx - 0.7*dy)*(2 - 1.98/r)/m1 + 0.4", "F/m_i"),
    ("r1", "m2*(1.3*dx + 0.7*dy)/r**2 - 0.3", "F/m_i"),
    ("r1", "m1*m2*(1.3*dx + 0.7*dy)/(r*(r + 0.012))", "F"),
    ("r2", "-0.78*m2*(dx - 0.74*dy)/(r*(r + 0.0095)**2) - 0.065", "F/m_i"),
    ("r2", "m2*(1.298 - 0.024/r)*(dx + 0.539*dy)/r**3 + 0.4", "F/m_i"),
    ("charge", "0.24*dx*q1*q2/r**3 + 0.3*dy*q1*q2/r**3", "F"),
    ("charge", "q1**3*(0.24*dx + 0.3*dy)/(q2*r*(2.01*r + 0.02)**2) - 0.04*q1**2", "F"),
]
WRONG = [
    ("spring", "1.439*dx + 1.276*dy + 0.23", "another dependence"),
    ("spring", "(1.3*dx + 0.7*dy)*(2 - 1.5/r)", "another dependence"),
    ("spring", "(1.3*dx + 0.7*dy)*(2 - 1.98/r) + 0.01*m1", "without direction"),
    ("r1", "m2*(1.3*dx + 0.7*dy)/r**3", "another dependence"),
    ("r1", "m2*(1.3*dx + 0.7*dy)/r**2 - 0.3*dx*dy", "not linear in dx"),
    ("r2", "m2*(1.3 - 0.24/r)*(dx + 0.539*dy)/r**3 + 0.4", "another dependence"),
    ("r2", "1.3*m2*dx/r**3", "dy does not occur"),
    ("r2", "m2*(1.3*sin(dx) + 0.7*dy)/r**3", "not linear in dx"),
    ("r2", "(m2 + 0.1)*(1.3*dx + 0.7*dy)/r**3", "another dependence"),
    ("r2", "m1*m2**2*(1.3*dx + 0.7*dy)/r**3", "another dependence"),
    ("charge", "q1*(1.3*dx + 0.7*dy)/r**3", "another dependence"),
    ("charge", "q1*q2*(1.3*dx + 0.7*dy)*exp(-2*r)", "another dependence"),
    ("charge", "q1*q2*(1.3*dx + 0.7*dy)/r**3 + 0.1*q1*q2", "without direction"),
]


@pytest.mark.parametrize(("name", "equation", "gauge"), RIGHT)
def test_the_judge_knows_the_laws(name, equation, gauge):
    verdict = judge(LAWS[name], sympy.sympify(equation))
    assert (verdict.right, verdict.gauge) == (True, gauge)


@pytest.mark.parametrize(("name", "equation", "reason"), WRONG)
def test_the_judge_says_what_is_wrong(name, equation, reason):
    verdict = judge(LAWS[name], sympy.sympify(equation))
    assert not verdict.right
    assert reason in verdict.reason


def test_the_judge_reads_off_the_direction():
    a, b = 1.3, -0.7
    equation = sympy.sympify(f"m2*({a}*dx + {b}*dy)/(r*(r + {SOFTENING})**2) + 2")
    verdict = judge(LAWS["r2"], equation)
    assert verdict.direction == pytest.approx((a, b))
    other = judge(LAWS["r2"], sympy.sympify("m2*(dx + dy)/r**3"))
    assert span_the_plane([verdict, other])
    assert not span_the_plane([verdict, verdict])


# -- the script -------------------------------------------------------------------------------


def test_the_fast_run_finds_the_springs_law(tmp_path):
    pytest.importorskip("torch_geometric")
    figures = run_script("examples/gnn_forces.py", tmp_path, "--fast")
    assert len(figures["checks"]) == 3
    assert_checks_passed(figures)
