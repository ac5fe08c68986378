"""Models made of candidate terms: sums, products, ratios, and which terms they keep.

They share one context of rows, clock and candidates; stages.py decides their order.
"""
