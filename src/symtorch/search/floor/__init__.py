"""The floor of every search: readable approximations, which what an engine finds competes with.

It is made of the engines' own parts, and so above them; `search` imports it when it runs.
"""

from .floor import readable_floor as readable_floor
