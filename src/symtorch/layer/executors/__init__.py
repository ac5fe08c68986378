"""The ways to run a program on a batch: as torch operations, or in memory that is kept.

They run what planning/ has planned, and decide nothing about equations.
"""
