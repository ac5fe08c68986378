"""Equations as the sparse engine holds them, and what it may write them with.

Writing, evaluating, shortening and polishing one tree; nothing in here chooses terms.
"""
