"""What the data and the block's gradients say about a law before it is searched for.

Smaller problems come out of here, never equations: those come from the engine.
"""
