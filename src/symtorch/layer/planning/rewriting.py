"""From equations to a graph, and from a graph to one for programs."""

from __future__ import annotations

from collections.abc import Sequence

from ...symbolic.expression import Expression
from .branches import LayerBuilder
from .builder import Builder
from .graph import Graph, Input, without_the_unused
from .long_sums import long_sums, share_sums


def build_graph(
    expressions: Sequence[Expression], variables: Sequence[str], *, trainable: bool = False
) -> Graph:
    """Rewrite equations to one graph.

    Args:
        expressions: one per output.
        variables: a name per input column.
        trainable: whether constants are `Parameter` leaves, numbered left to right, or
            numbers, on which all that can be computed beforehand is.
    """
    builder = LayerBuilder(_inputs(variables), trainable)
    outputs = [builder.build(expression.root) for expression in expressions]
    return without_the_unused(share_sums(builder, outputs), outputs, len(variables))


def plain_graph(expressions: Sequence[Expression], variables: Sequence[str]) -> Graph:
    """Rewrite equations to one graph that computes in the order in which they are written.

    For printing: it is the shorter text, and needs no products in common.
    """
    builder = Builder(_inputs(variables))
    outputs = [builder.build(expression.root) for expression in expressions]
    return without_the_unused(builder.nodes, outputs, len(variables))


def _inputs(variables: Sequence[str]) -> dict[str, Input]:
    return {name: Input(i) for i, name in enumerate(variables)}


def with_long_sums(graph: Graph) -> Graph:
    """The graph with each long sum as one step.

    For programs. Compilers and exporters do better with sums written plainly.
    """
    builder = Builder({})
    for node in graph.nodes:
        builder.add(node)
    return without_the_unused(long_sums(builder, graph.outputs), graph.outputs, graph.width)
