"""Values near the ends of float32's range: what fits as written fits in every executor."""

import random

import mpmath
import pytest
import torch

from symtorch import Expression, SymbolicLayer
from symtorch.layer.executors.direct import Direct
from symtorch.layer.executors.grouped import Grouped, TensorPlan
from symtorch.layer.executors.node_by_node import NodeByNode
from symtorch.layer.executors.workspaces import Workspaces
from symtorch.layer.planning.plan import plan
from symtorch.layer.planning.products import MODERATE
from symtorch.layer.planning.rewriting import build_graph, with_long_sums
from symtorch.symbolic.nodes import walk

NAMES = ("x", "y", "z")


def all_ways(texts, table):
    """Results of every executor, [rows, outputs] each."""
    layer = SymbolicLayer(texts, NAMES)
    trainable = SymbolicLayer(texts, NAMES, trainable_constants=True)
    graph = build_graph([Expression.parse(text, NAMES) for text in texts], NAMES)
    program = plan(with_long_sums(graph))
    tensor_plan, none = TensorPlan(program), torch.empty(0)
    with torch.no_grad():
        yield layer(table)
        yield trainable(table)
        yield NodeByNode(graph).run(table)
        yield Grouped(tensor_plan, table.dtype, table.device).run(table, none)
        yield Workspaces(program).run(table, none)
        yield Direct(graph, table.dtype, table.device).run(table, none)
    yield layer(table.clone().requires_grad_()).detach()


@pytest.mark.parametrize(
    ("text", "point", "value"),
    [
        ("6.674e-11*x*y", (1e23, 8e24, 0), 5.3392e37),
        ("6.674e-11*y*x/z**2", (1e23, 8e24, 3), 5.3392e37 / 9),
        ("5.67e-8*(x*x)*(x*x)", (2.5e11, 0, 0), 5.67e-8 * 2.5e11**4),
        ("1e30*x*x", (1e-25, 0, 0), 1e-20),
        ("(1e-20*x)*(1e-20*y)", (1e38, 1e30, 0), 1e28),
        ("0.5*x*y", (2e19, 3e19, 0), 3e38),
        ("0.001*x*y - z", (1e20, 3e21, 1), 3e38),
        ("z - 0.5*y*x*z", (2e19, 3e18, 10), -3e38),
        ("3*x*y", (1e-19, 1e-19, 0), 3e-38),
    ],
)
def test_products_keep_to_the_range_they_were_written_for(text, point, value):
    table = torch.tensor([point], dtype=torch.float32)
    # Beside an equation that shares the product.
    for texts in ([text], [text, "2*x*y + 1", "0.25*x*y", "x*y"]):
        for found in all_ways(texts, table):
            assert float(found[0, 0]) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("text", ["x - 1e39*y", "1e39*y", "1e39 - x", "x/1e39", "x + 1e39*sin(y)"])
def test_constants_beyond_float32_are_what_they_are_to_torch(text):
    table = torch.tensor([[1.0, 2.0, 0.0], [3.0, 0.0, 0.0], [0.5, -1.0, 0.0]])
    columns = dict(zip(NAMES, table.unbind(1), strict=True))
    wanted = Expression.parse(text)(columns)
    for found in all_ways([text], table):
        torch.testing.assert_close(found[:, 0], wanted, equal_nan=True)


def random_product(rng):
    """A product in some order of writing, with constants among its factors."""
    factors = [rng.choice(NAMES) for _ in range(rng.randint(2, 4))]
    for _ in range(rng.randint(1, 2)):
        size = 10 ** rng.uniform(-25, 25) if rng.random() < 0.4 else rng.uniform(0.002, 900)
        factors.insert(rng.randrange(len(factors) + 1), f"{size:.4g}")
    while len(factors) > 1:
        i = 0 if rng.random() < 0.7 else rng.randrange(len(factors) - 1)
        factors[i : i + 2] = [f"({factors[i]}*{factors[i + 1]})"]
    return factors[0]


def test_what_is_finite_as_written_is_finite_and_right():
    """Against mpmath, wherever what is written keeps its distance from the denormal numbers."""
    rng = random.Random(0)
    least = torch.finfo(torch.float32).tiny * MODERATE
    judged = 0
    for _ in range(150):
        texts = [random_product(rng) for _ in range(4)]
        table = (10 ** (76 * torch.rand(20, 3, dtype=torch.float64) - 38)).float()
        columns = dict(zip(NAMES, table.unbind(1), strict=True))
        results = [*all_ways(texts, table)]
        for k, text in enumerate(texts):
            nodes = [Expression(node) for node in walk(Expression.parse(text).root)]
            parts = torch.stack([node(columns) for node in nodes])
            for row in (parts.isfinite() & (parts > least)).all(0).nonzero()[:, 0]:
                point = {name: mpmath.mpf(float(columns[name][row])) for name in NAMES}
                exact = float(eval(text, {}, point))  # the test's own text
                for found in results:
                    assert float(found[row, k]) == pytest.approx(exact, rel=1e-5), text
                judged += 1
    assert judged > 1000
