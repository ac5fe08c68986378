"""Settings all tests share."""

import torch
from hypothesis import settings

# The same examples on every run and machine, and no failure for a slow moment.
settings.register_profile("symtorch", deadline=None, derandomize=True, database=None)
settings.load_profile("symtorch")

# Tests run side by side, one process a core: more threads would only get in each other's way,
# and a sum split over threads rounds differently.
torch.set_num_threads(1)
