"""Algebra that shortens a fitted tree without changing what it computes."""

from __future__ import annotations

from .tree import LEAVES, Tree, is_number
from .vocabulary import Vocabulary


def folded(tree: Tree, vocabulary: Vocabulary) -> Tree:
    """Fold numbers, drop factors of 1 and terms of 0, write signs as subtractions; never longer."""
    if tree[0] in LEAVES:
        return tree
    children = tuple(folded(child, vocabulary) for child in tree[1:])
    node: Tree = (tree[0], *children)
    if all(is_number(child) for child in children):
        return ("c", vocabulary.evaluate_number(tree[0], [child[1] for child in children]))
    rebuilt = _rebuild(node, vocabulary)
    if rebuilt is not None and vocabulary.complexity(rebuilt) <= vocabulary.complexity(node):
        return rebuilt
    return node


def _rebuild(node: Tree, vocabulary: Vocabulary) -> Tree | None:
    kind = node[0]
    if kind == "*":
        a, b = node[1], node[2]
        if is_number(b):
            a, b = b, a
        # 2 * (1/b) is 2/b, and 2 * (a / b) with a number inside a is one number.
        if is_number(a) and b[0] == "inv" and "/" in vocabulary.binary:
            return ("/", a, b[1])
        if b[0] == "/" and b[1] == ("k", 1.0):
            return ("/", a, b[2])
        return vocabulary.multiply(a, b)
    if kind == "+":
        return vocabulary.add(node[1], node[2])
    if kind == "-":
        if is_number(node[2]) and node[2][1] == 0:
            kept: Tree = node[1]
            return kept
        if node[2][0] in ("*", "/") and is_number(node[2][1]) and node[2][1][1] < 0:
            flipped = (node[2][0], (node[2][1][0], -node[2][1][1]), node[2][2])
            return ("+", node[1], flipped) if "+" in vocabulary.binary else None
        if is_number(node[2]) and node[2][1] < 0 and "+" in vocabulary.binary:
            return ("+", node[1], (node[2][0], -node[2][1]))
    if kind == "/":
        if is_number(node[2]):
            return vocabulary.divide(node[1], node[2])
        if node[2][0] == "*" and is_number(node[2][1]) and is_number(node[1]):
            return ("/", ("c", node[1][1] / node[2][1][1]), node[2][2])
    return None
