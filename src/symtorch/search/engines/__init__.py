"""The engines that find equations, one a file or folder, all behind `Engine`.

Each is imported on first use, by its name in registry.py; none knows a model or a block.
"""
