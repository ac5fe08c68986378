"""Settings all tests share."""

from hypothesis import settings

# The same examples on every run and machine, and no failure for a slow moment.
settings.register_profile("symtorch", deadline=None, derandomize=True, database=None)
settings.load_profile("symtorch")
