"""Plan: from a graph to the shortest of a few programs."""

from __future__ import annotations

from .graph import Graph
from .grouping import RULES, grouped
from .layout import Layout
from .program import Program


def plan(graph: Graph) -> Program:
    """Group and lay out a graph, by the best of a few orders."""
    programs = [Layout(graph, grouped(graph, rule)).program() for rule in RULES]
    return min(programs, key=lambda program: len(program.instructions))
