"""Physics-informed networks with unknown constants, and the laws they have learned."""
