"""Candidate terms: their trees, and their values on the rows.

Nothing in here fits a model; it only says what a model could be made of.
"""
