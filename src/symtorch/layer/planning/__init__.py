"""From expressions to a graph, and from the graph to a program of few operations.

Plans only: nothing in here computes with a batch.
"""
