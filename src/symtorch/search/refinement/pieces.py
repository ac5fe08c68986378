"""Pieces of an equation that may be dropped."""

from __future__ import annotations

from collections.abc import Iterator

from ...symbolic.nodes import Call, Constant, Node, Variable, walk


def one_piece_less(root: Node) -> Iterator[Node]:
    """Yield the trees with one piece dropped."""
    if not isinstance(root, Call):
        return
    name = root.operator.name
    if name in ("+", "-", "*", "max", "min"):
        # What is left of a difference may have the wrong sign; a constant around it takes it up.
        yield from root.args
    elif name == "/":
        yield root.args[0]
        if not isinstance(root.args[0], Constant):
            yield _with_arg(root, 0, Constant(1.0))
    elif len(root.args) == 1:
        yield root.args[0]
    for position, arg in enumerate(root.args):
        if isinstance(arg, Call) and not any(isinstance(n, Variable) for n in walk(arg)):
            yield _with_arg(root, position, Constant(1.0))
        for shorter in one_piece_less(arg):
            yield _with_arg(root, position, shorter)


def _with_arg(node: Call, position: int, arg: Node) -> Call:
    return Call(node.operator, (*node.args[:position], arg, *node.args[position + 1 :]))
