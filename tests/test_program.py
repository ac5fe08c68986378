"""Planning: equations to a graph, to groups, to places in memory. And what carries it out."""

import itertools
import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from helpers import GAUSS, expressions, randn
from hypothesis import given, settings
from hypothesis import strategies as st

from symtorch import Expression
from symtorch.layer.executors.direct import Direct
from symtorch.layer.executors.grouped import Grouped, TensorPlan
from symtorch.layer.executors.node_by_node import NodeByNode
from symtorch.layer.executors.pullbacks import Summed, pullback_of
from symtorch.layer.executors.workspaces import KEPT, Workspaces, rows_at_a_time
from symtorch.layer.planning.graph import (
    AFFINE,
    LINEAR,
    LONG_SUMS,
    Number,
    Parameter,
    Step,
    kernel_of,
)
from symtorch.layer.planning.placement import place_blocks
from symtorch.layer.planning.plan import plan
from symtorch.layer.planning.program import Apply, Column, Gather, Span
from symtorch.layer.planning.rewriting import build_graph, with_long_sums
from symtorch.symbolic.operators import OPERATORS

NAMES = ("x", "y")
TABLE = randn(20, 2, dtype=torch.float64)


def graph_of(*texts, trainable=False, names=NAMES):
    return build_graph([Expression.parse(t, names) for t in texts], names, trainable=trainable)


def kernels(*texts, **options):
    return [step.kernel.name for _, step in graph_of(*texts, **options).steps]


def program_of(graph, long_from):
    """The program, with sums of so many terms as single steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("symtorch.layer.planning.long_sums.LONG", long_from)
        return plan(with_long_sums(graph))


equations = st.lists(expressions(NAMES, max_leaves=8), min_size=1, max_size=5)

# ---------------------------------------------------------------- graph


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        (["sin(x*y)", "cos(y*x)"], ["*", "sin", "cos"]),
        (["x + y", "y + x"], [AFFINE.name]),
        (["2*x + y"], [AFFINE.name]),
        (["y - 2*x"], [AFFINE.name]),
        (["3 - x", "x - 3"], [AFFINE.name, AFFINE.name]),
        (["-x"], ["*"]),
        (["x**4", "x**2"], ["*", "*"]),
        (["x**5"], ["*", "*", "*"]),
        (["x**-2"], ["/", "*"]),
        (["x**65"], ["^"]),
        (["(2*x)**4"], ["*", "*", "*"]),
        (["2*x*y", "3*x*y"], ["*", "*", "*"]),
        (["x**2.5"], ["^"]),
        (["x**0", "sin(2) + 3"], []),
        (["square(x)", "x*x", "cube(x)"], ["*", "*"]),
        (["inv(x)", "1/x"], ["/"]),
    ],
)
def test_equations_become_few_kinds_of_steps(texts, names):
    assert kernels(*texts) == names


def test_numbers_are_computed_beforehand_unless_they_can_be_trained():
    frozen, trainable = (graph_of("sin(2*3)*x", trainable=flag) for flag in (False, True))
    assert [n.value for n in frozen.nodes if isinstance(n, Number)] == [math.sin(6)]
    assert [n for n in trainable.nodes if isinstance(n, Parameter)] == [Parameter(0), Parameter(1)]


def test_constants_that_can_be_trained_are_numbered_left_to_right():
    graph = graph_of("2*x**3 + 2", "y - 2", trainable=True)
    positions = sorted((n.position, n.factor) for n in graph.nodes if isinstance(n, Parameter))
    assert positions == [(0, 1), (1, 1), (2, -1)]


def test_zeros_of_both_signs_and_nan_are_numbers_of_their_own():
    graph = graph_of("x*0.0", "x*(-0.0)", "x*sqrt(-1)", "x*sqrt(-2)")
    assert len([n for n in graph.nodes if isinstance(n, Number)]) == 3


def test_operators_of_the_user_are_taken_apart():
    equation = Expression.parse("gauss(x) + exp(y)", NAMES, {"gauss": GAUSS})
    names = [step.kernel.name for _, step in build_graph([equation], NAMES).steps]
    assert names == ["*", "*", "exp", "exp", AFFINE.name]


def test_sums_over_the_same_terms_become_a_matrix_product():
    texts = ["2*x + 3*sin(y) - exp(x) + 1", "exp(x) - (x - 0.5*sin(y))", "x + sin(y)"]
    assert kernels(*texts).count("linear") == 2
    # Not over other terms: a zero in the matrix would carry nan from one to the other.
    assert "linear" not in kernels("2*x + 3*sin(y) + exp(x)", "x + sin(y) + log(x)")
    assert "linear" not in kernels("x + sin(y) + exp(x)")


def test_long_sums_are_single_steps_padded_to_one_length():
    names = [f"z{i}" for i in range(20)]
    sums = [" + ".join(f"{i + 0.5}*{name}" for i, name in enumerate(names[:n])) for n in (17, 20)]
    graph = graph_of(*sums, "sin(z0) + z1", names=names)
    steps = [step for _, step in with_long_sums(graph).steps]
    long = [step for step in steps if step.kernel is LONG_SUMS]
    assert sorted(step.kernel.name for step in steps if step not in long) == [AFFINE.name, "sin"]
    assert [len(step.args) for step in long] == [20, 20]
    assert with_long_sums(graph_of("x + y")) == graph_of("x + y")
    # One sum is infinite, the other is not.
    x = torch.zeros(1, 20, dtype=torch.float64)
    x[0, 19] = math.inf
    values = Workspaces(plan(with_long_sums(graph))).run(x, x.new_zeros(0))
    assert values.tolist() == [[0.0, math.inf, 0.0]]


# ---------------------------------------------------------------- program


@settings(max_examples=60)
@given(equations, st.booleans(), st.sampled_from([2, 16]))
def test_programs_are_sound(found, trainable, long_from):
    """Every slot is written before it is read, and every step is there once."""
    graph = build_graph(found, NAMES, trainable=trainable)
    program = program_of(graph, long_from)
    graph = with_long_sums(graph) if long_from == 16 else graph
    written = next(program.blocks).stop
    steps = 0
    for instruction in program.instructions:
        assert instruction.target.start == written
        written = instruction.target.stop
        if isinstance(instruction, Gather):
            assert max(instruction.sources) < instruction.target.start
            assert len(instruction.sources) == written - instruction.target.start
            continue
        count = written - instruction.target.start
        steps += count
        for operand in instruction.operands:
            if isinstance(operand, Span):
                assert operand.stop <= instruction.target.start
            elif instruction.kernel not in (LINEAR, LONG_SUMS):
                assert operand.stop - operand.start == count
    if long_from == 16:  # otherwise one step stands for several
        assert steps == len(list(graph.steps))
    assert written == program.slots
    assert program.outputs.stop - program.outputs.start == len(found)


def test_one_operation_does_all_steps_of_a_kind():
    texts = [f"sin({i + 2}*x) + cos(y*{i + 2})" for i in range(10)]
    program = plan(graph_of(*texts))
    applied = [i.kernel.name for i in program.instructions if isinstance(i, Apply)]
    assert sorted(applied) == sorted(["*", "sin", "cos", AFFINE.name])
    assert len(program.instructions) <= 8


def test_what_is_in_place_is_not_copied():
    program = plan(graph_of("tanh(sin(x))", "tanh(sin(y))"))
    assert not any(isinstance(i, Gather) for i in program.instructions)


def test_constants_of_all_steps_are_a_column():
    program = plan(graph_of("2*x + 1", "3*y + 5"))
    (step,) = [i for i in program.instructions if isinstance(i, Apply)]
    assert [type(operand) for operand in step.operands] == [Column, Span, Column]


# ---------------------------------------------------------------- placement


class Owners:
    """Which slot each row of a workspace holds."""

    def __init__(self, program, placement):
        self.blocks = list(program.blocks)
        self.placement = placement
        self.slots = {}

    def write(self, number):
        place = self.placement.places[number]
        for row in range(place.start, place.stop):
            slot = self.blocks[number].start + row - place.start
            self.slots[place.copied, row] = slot

    def hold(self, slots):
        places = {slot: self.placement.of(Span(slot, slot + 1)) for slot in slots}
        return all(self.slots[p.copied, p.start] == slot for slot, p in places.items())


@pytest.mark.parametrize("keep", [True, False])
@settings(max_examples=60)
@given(equations)
def test_rows_are_used_again_only_when_nothing_needs_them(keep, found):
    program = plan(build_graph(found, NAMES))
    placement = place_blocks(program, keep=keep)
    owners = Owners(program, placement)
    owners.write(0)
    for number, instruction in enumerate(program.instructions, start=1):
        if isinstance(instruction, Gather):
            read = instruction.sources
            assert not any(placement.of(Span(slot, slot + 1)).copied for slot in read)
        else:
            spans = [o for o in instruction.operands if isinstance(o, Span)]
            read = [slot for span in spans for slot in range(span.start, span.stop)]
        # Before it is read: a result must not lie over its operands either.
        owners.write(number)
        assert owners.hold(read)
    assert owners.hold(range(program.outputs.start, program.outputs.stop))


# ---------------------------------------------------------------- execution


def expected(found, table):
    columns = dict(zip(NAMES, table.unbind(-1), strict=True))
    return torch.stack([equation(columns) for equation in found], -1)


@settings(max_examples=80)
@given(equations, st.booleans(), st.sampled_from([2, 16]))
def test_all_ways_of_carrying_out_agree(found, trainable, long_from):
    graph = build_graph(found, NAMES, trainable=trainable)
    program = program_of(graph, long_from)
    constants = torch.tensor(
        [value for equation in found for value in equation.constants] if trainable else [],
        dtype=torch.float64,
    )
    tensor_plan = TensorPlan(program)
    ways = [
        NodeByNode(graph).run(TABLE, constants),
        Grouped(tensor_plan, torch.float64, TABLE.device).run(TABLE, constants),
        Workspaces(program).run(TABLE, constants),
        Workspaces(program).run(TABLE, constants, token=object()),
    ]
    if not any(step.kernel is LINEAR for _, step in graph.steps):
        ways.append(Direct(graph, torch.float64, TABLE.device).run(TABLE, constants))
    for values in ways:
        torch.testing.assert_close(values, expected(found, TABLE), equal_nan=True)
        assert values.is_contiguous()


SMOOTH = [OPERATORS[name] for name in ("+", "-", "*", "/", "sin", "exp", "tanh", "max", "square")]


@settings(max_examples=40)
@given(
    st.lists(expressions(NAMES, SMOOTH, max_leaves=8, moderate=True), min_size=1, max_size=4),
    st.booleans(),
    st.sampled_from([2, 16]),
)
def test_ways_back_agree(found, trainable, long_from):
    graph = build_graph(found, NAMES, trainable=trainable)
    workspaces = Workspaces(program_of(graph, long_from))
    constants = torch.tensor(
        [value for equation in found for value in equation.constants] if trainable else [],
        dtype=torch.float64,
    )
    x, c = TABLE.clone().requires_grad_(), constants.clone().requires_grad_()
    weights = randn(20, len(found), dtype=torch.float64)
    of_x, of_c = torch.autograd.grad(
        NodeByNode(graph).run(x, c), (x, c), weights, materialize_grads=True, allow_unused=True
    )
    token = object()
    workspaces.run(TABLE, constants, token)
    for mark in (token, object()):  # values still there; values lost
        found_x, found_c = workspaces.pull_back(TABLE, constants, weights, mark)
        torch.testing.assert_close(found_x, of_x, equal_nan=True)
        if found_c is not None:
            torch.testing.assert_close(found_c, of_c, equal_nan=True)


EDGES = torch.tensor([-math.inf, -2.0, -1.0, -0.0, 0.0, 0.5, 1.0, 3.0, math.inf, math.nan])


@pytest.mark.parametrize("name", list(OPERATORS))
@pytest.mark.parametrize("g", [1.0, 0.0, math.inf])
def test_pullbacks_are_those_of_torch_at_edges_too(name, g):
    kernel = kernel_of(name)
    arity = OPERATORS[name].arity
    points = torch.cartesian_prod(*[EDGES.double()] * 2).t()[:arity]
    leaves = [row[None].clone().requires_grad_() for row in points]
    y = kernel.function(*leaves)
    gradient = torch.full_like(y, g)
    into = [torch.zeros_like(leaf) for leaf in leaves]
    pullback_of(kernel)(into, gradient, y.detach(), [leaf.detach() for leaf in leaves])
    if y.requires_grad:
        y.backward(gradient)
    for leaf, found in zip(leaves, into, strict=True):
        wanted = torch.zeros_like(found) if leaf.grad is None else leaf.grad
        torch.testing.assert_close(found, wanted, equal_nan=True)


def test_gradients_of_what_was_broadcast_are_summed():
    target = torch.zeros(3, 1)
    sink = Summed(target, 1)
    sink.addcmul_(torch.ones(3, 4), torch.full((3, 4), 2.0), value=-1)
    sink.addcdiv_(torch.ones(3, 4), torch.full((3, 4), 2.0))
    sink.add_(torch.ones(3, 4))
    assert target.flatten().tolist() == [-2.0] * 3


# ---------------------------------------------------------------- workspaces


@pytest.mark.parametrize("rows", [0, 1, 7, 100, 511, 512, 513, 5000])
@pytest.mark.parametrize("trainable", [False, True])
def test_any_number_of_rows(rows, trainable, monkeypatch):
    monkeypatch.setattr("symtorch.layer.executors.workspaces.TARGET_BYTES", 1)  # several goes
    rows_at_a_time.cache_clear()
    texts = ["2*x + sin(y)", "x*y - 0.5"]
    found = [Expression.parse(text) for text in texts]
    workspaces = Workspaces(program_of(graph_of(*texts, trainable=trainable), 2))
    constants = torch.tensor([2.0, 0.5] if trainable else [], dtype=torch.float64)
    x = randn(rows, 2, dtype=torch.float64)
    for _ in range(2):
        torch.testing.assert_close(workspaces.run(x, constants), expected(found, x))
    of_x, of_constants = workspaces.pull_back(
        x, constants, torch.ones(rows, 2, dtype=torch.float64), object()
    )
    torch.testing.assert_close(of_x, torch.stack([2 + x[:, 1], x[:, 1].cos() + x[:, 0]], 1))
    if trainable:
        torch.testing.assert_close(
            of_constants, torch.stack([x[:, 0].sum(), -x[:, 0].new_tensor(rows)])
        )
    rows_at_a_time.cache_clear()


def test_few_sizes_of_workspaces_occur():
    sizes = {rows_at_a_time(rows, 100, exact=False) for rows in range(1, 5000)}
    assert len(sizes) < 100
    for rows in range(1, 5000, 7):
        assert rows <= rows_at_a_time(rows, 100, exact=False) <= rows * 1.13 + 1


def test_workspaces_are_used_again_and_few_are_kept():
    workspaces = Workspaces(plan(graph_of("sin(x) + y")))
    nothing = torch.empty(0)
    workspaces.run(randn(64, 2), nothing)
    (first,) = workspaces.free
    workspaces.run(randn(64, 2, seed=1), nothing)
    assert workspaces.free == [first]
    for rows in (1, 2, 4, 8, 16, 32, 64, 128):
        workspaces.run(randn(rows, 2), nothing)
    assert len(workspaces.free) == KEPT


def test_threads_do_not_share_a_workspace():
    texts = ["sin(x)*y", "exp(x) + 2*y", "x/(y*y + 1)"]
    found = [Expression.parse(text) for text in texts]
    workspaces = Workspaces(plan(graph_of(*texts)))
    tables = [randn(300, 2, seed=seed, dtype=torch.float64) for seed in range(40)]

    def run(table):
        return [workspaces.run(table, torch.empty(0)) for _ in range(20)]

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(run, tables))
    for table, runs in zip(tables, results, strict=True):
        for values in runs:
            assert torch.equal(values, runs[0])
        torch.testing.assert_close(runs[0], expected(found, table))


def test_grouping_takes_a_fraction_of_the_operations():
    names = [f"x{i}" for i in range(8)]
    texts = [f"sin({a}*{b}) + exp(-{a})/{b}" for a, b in itertools.combinations(names, 2)]
    graph = build_graph([Expression.parse(t) for t in texts], names)
    assert len(list(graph.steps)) > 100
    assert len(plan(graph).instructions) <= 12
    assert all(isinstance(node, Step) for _, node in graph.steps)
