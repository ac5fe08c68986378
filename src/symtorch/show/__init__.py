"""What there is to see: notebooks, plots, the report.

Nothing is computed here that a room below knows; matplotlib is imported when a plot is drawn.
"""
