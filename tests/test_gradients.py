"""Gradients of layers over the whole operator table: against eager's, and finite differences."""

import random

import pytest
import torch
from helpers import GAUSS, random_tree

from symtorch import Expression, SymbolicLayer
from symtorch.layer.executors.direct import Direct
from symtorch.layer.executors.grouped import Grouped, TensorPlan
from symtorch.layer.executors.node_by_node import NodeByNode
from symtorch.layer.executors.workspaces import Workspaces
from symtorch.layer.planning.plan import plan
from symtorch.layer.planning.rewriting import build_graph, with_long_sums
from symtorch.symbolic.operators import OPERATORS

NAMES = ("x", "y")
EDGES = torch.cartesian_prod(*[torch.tensor([-2, -1, -0.5, 0, 0.5, 1, 2], dtype=torch.float64)] * 2)
POINTS = torch.cat([2 * torch.randn(20, 2, generator=torch.Generator().manual_seed(0)), EDGES])
POINTS = POINTS.double()
NONE = torch.empty(0, dtype=torch.float64)


def gradient(function, points):
    """d(sum of the outputs)/d(points), zeros where there is none: [rows, columns]."""
    points = points.clone().requires_grad_()
    result = function(points)
    if not result.requires_grad:
        return torch.zeros_like(points)
    return torch.autograd.grad(
        result, points, torch.ones_like(result), allow_unused=True, materialize_grads=True
    )[0]


def gradients_of_all_ways(equation, points):
    """By every executor's way back."""
    graph = build_graph([equation], NAMES)
    program = plan(with_long_sums(graph))
    kind = (torch.float64, points.device)
    executors = [NodeByNode(graph), Direct(graph, *kind), Grouped(TensorPlan(program), *kind)]
    for executor in executors:
        yield type(executor).__name__, gradient(lambda x, e=executor: e.run(x, NONE), points)
    workspaces, token = Workspaces(program), object()
    ones = torch.ones_like(workspaces.run(points, NONE, token))
    yield "Workspaces", workspaces.pull_back(points, NONE, ones, token)[0]


def eager(equation):
    return lambda x: equation(dict(zip(NAMES, x.unbind(1), strict=True)))


def random_equations(count, seed, leave_out=()):
    rng = random.Random(seed)
    operators = [row for row in (*OPERATORS.values(), GAUSS) if row.name not in leave_out]
    for _ in range(count):
        yield Expression(random_tree(rng, rng.randint(2, 12), NAMES, operators))


@pytest.mark.parametrize("seed", range(4))
def test_gradients_are_finite_and_right_wherever_eagers_are(seed):
    judged = 0
    for equation in random_equations(250, seed):
        function = eager(equation)
        wanted = gradient(function, POINTS)
        steady = wanted.isfinite()
        for change in (1 - 1e-12, 1 + 1e-12):
            moved = gradient(function, POINTS * change)
            steady &= torch.isclose(moved, wanted, rtol=1e-7, atol=1e-9)
        for name, found in gradients_of_all_ways(equation, POINTS):
            spoilt = wanted.isfinite() & ~found.isfinite()
            assert not spoilt.any(), (name, str(equation), POINTS[spoilt.any(1)])
            same = torch.isclose(found, wanted, rtol=1e-6, atol=1e-8)
            assert bool((same | ~steady).all()), (name, str(equation))
        judged += int(steady.sum())
    assert judged > 0.5 * 250 * POINTS.numel()


def test_gradients_are_those_of_finite_differences():
    """Where two step sizes agree on a slope of everyday size, the gradient is that slope."""
    points = POINTS[:20]
    judged = 0
    # mod jumps where its first argument is a multiple of the second, as rounding has it.
    for equation in random_equations(300, 9, leave_out=("mod",)):
        layer = SymbolicLayer([equation], NAMES)
        found = gradient(layer, points)
        for column in range(2):
            slopes = []
            for step in (1e-4, 2e-4):
                move = torch.zeros(2, dtype=torch.float64)
                move[column] = step
                slopes.append(((layer(points + move) - layer(points - move)) / (2 * step))[:, 0])
            agree = (slopes[0] - slopes[1]).abs() < 1e-6 * (1 + slopes[0].abs())
            # nan**0 is 1 everywhere, with a slope that is not a number.
            agree &= (slopes[0].abs() < 1e4) & found[:, column].isfinite()
            close = torch.isclose(found[:, column], slopes[0], rtol=1e-5, atol=1e-5)
            assert bool((close | ~agree).all()), (str(equation), points[~(close | ~agree)])
            judged += int(agree.sum())
    assert judged > 5000


# ---------------------------------------------------------------- branches not taken

BRANCHES = [
    ("cond(x, log(x))", [[-1.0, 1.0], [0.0, 1.0], [2.0, 1.0]], [[0, 0], [0, 0], [0.5, 0]]),
    ("cond(x, 1/x) + y", [[0.0, 2.0], [2.0, 2.0]], [[0, 1], [-0.25, 1]]),
    (
        "3*cond(x, cond(y, sqrt(x)/y))",
        [[4.0, 0.0], [0.0, 1.0], [4.0, 2.0]],
        [[0, 0], [0, 0], [0.375, -1.5]],
    ),
    ("cond(x, sqrt(x)) + sqrt(y)", [[-4.0, 4.0]], [[0, 0.25]]),
    (
        "cond(x - y, (x - y)**0.5)",
        [[1.0, 1.0], [1.0, 3.0], [5.0, 1.0]],
        [[0, 0], [0, 0], [0.25, -0.25]],
    ),
    ("cond(-x, log(-x)) + greater(1/x, log(y))", [[0.0, 0.0], [3.0, 0.0]], [[0, 0], [0, 0]]),
]


@pytest.mark.parametrize(("text", "points", "wanted"), BRANCHES)
def test_branches_not_taken_have_no_gradient(text, points, wanted):
    table = torch.tensor(points, dtype=torch.float64)
    wanted = torch.tensor(wanted, dtype=torch.float64)
    for name, found in gradients_of_all_ways(Expression.parse(text, NAMES), table):
        torch.testing.assert_close(found, wanted, msg=lambda text, name=name: f"{name}: {text}")
    # Beside others, on few rows and many, and where constants are trained.
    for repeats in (1, 2000):
        for trainable in (False, True):
            layer = SymbolicLayer(
                [text, "2*x + sin(y*3)"] * 8,
                NAMES,
                trainable_constants=trainable,
                dtype=torch.float64,
            )
            rows = table.repeat(repeats, 1).requires_grad_()
            layer(rows)[:, 0].sum().backward()
            torch.testing.assert_close(rows.grad[: len(table)], wanted)
            if trainable:
                assert layer.constants.grad.isfinite().all()


def test_second_derivatives_and_transforms_keep_out_of_branches_too():
    layer = SymbolicLayer(["cond(x, x*log(x)) + y**2"], NAMES)
    x = torch.tensor([[-1.0, 1.0], [0.0, 1.0], [2.0, 1.0]], dtype=torch.float64)

    def one(point):
        return layer(point)[0]

    hessian = torch.func.vmap(torch.func.hessian(one))(x)
    wanted = torch.tensor([[0.0, 2.0], [0.0, 2.0], [0.5, 2.0]], dtype=torch.float64)
    torch.testing.assert_close(hessian.diagonal(dim1=1, dim2=2), wanted)
    points = x.clone().requires_grad_()
    (first,) = torch.autograd.grad(layer(points).sum(), points, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), points)
    torch.testing.assert_close(second, wanted)
