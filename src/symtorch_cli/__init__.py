"""The command line: ``symtorch distill``, ``show``, ``report``, ``export``, ``engines``, ``demo``.

A package beside `symtorch`, for importing anything inside that one imports torch, and
``symtorch --help`` should not take two seconds. Files here import argparse and each other
only; what a command needs of `symtorch` it imports when it runs.
"""
