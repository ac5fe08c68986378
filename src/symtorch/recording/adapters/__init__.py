"""A call of a block as a table of rows and columns, and a table as the block's output.

Each kind of input is one file. Nothing in here runs a model or keeps rows.
"""
