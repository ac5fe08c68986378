"""The report: one HTML file with all that was found, which opens without a network.

No matplotlib and no library of scripts: SVG, MathML and a page of plain JavaScript by hand.
"""

from .writing import report as report
