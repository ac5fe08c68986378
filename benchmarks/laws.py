"""Laws to recover: formulas with the ranges their inputs are drawn from.

`EIGHT` are what this project is measured by every day, `TEXTBOOK` is a wider table that
any clone can run, written for this project from the fields' textbooks.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from symtorch import Expression

Array = npt.NDArray[np.float64]
Scale = Literal["uniform", "log", "integer"]
Sign = Literal["pos", "neg", "pos_neg"]

_DRAWS = 200


@dataclass(frozen=True)
class Input:
    """A variable and how it is drawn.

    Args:
        name: as in the formula.
        low: least value, before a sign is given.
        high: largest value.
        scale: uniform, uniform in the logarithm, or whole numbers.
        sign: kept, turned, or either at random.
    """

    name: str
    low: float
    high: float
    scale: Scale = "uniform"
    sign: Sign = "pos"

    def sample(self, rows: int, rng: np.random.Generator) -> Array:
        """[rows] values."""
        if self.scale == "log":
            values = 10 ** rng.uniform(np.log10(self.low), np.log10(self.high), rows)
        elif self.scale == "integer":
            values = rng.integers(int(self.low), int(self.high), rows, endpoint=True).astype(float)
        else:
            values = rng.uniform(self.low, self.high, rows)
        if self.sign == "pos_neg":
            values *= rng.choice([-1.0, 1.0], rows)
        return -values if self.sign == "neg" else values

    def widened(self, factor: float) -> Input:
        """The range stretched away from and towards zero, never across it."""
        low = self.low / factor if self.low > 0 else self.low * factor
        high = self.high * factor if self.high > 0 else self.high / factor
        if self.scale == "integer":
            low, high = np.floor(low), np.ceil(high)
        return replace(self, low=float(low), high=float(high))

    def spread(self, decades: float) -> Input:
        """Magnitudes drawn over that many decades more on both sides, signs as before."""
        high = max(abs(self.low), abs(self.high))
        low = min(abs(self.low), abs(self.high))
        if low == 0 or self.low < 0 < self.high:
            low = 1e-3 * high
        sign: Sign = self.sign
        if self.low < 0:
            sign = "pos_neg" if self.high > 0 else "neg"
        return Input(self.name, low / 10**decades, high * 10**decades, "log", sign)


@dataclass(frozen=True)
class Law:
    """A formula, its inputs and where it is from.

    >>> law = Law("area", "pi*r**2", (uniform("r", 1, 2),), "geometry")
    >>> X, y = law.sample(100)
    >>> X.shape, y.shape
    ((100, 1), (100,))
    """

    name: str
    formula: str
    inputs: tuple[Input, ...]
    source: str

    @cached_property
    def expression(self) -> Expression:
        """The formula as an expression."""
        return Expression.parse(self.formula, self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """The inputs' names, in order."""
        return tuple(i.name for i in self.inputs)

    def columns(self, X: Array) -> Mapping[str, Array]:
        """The columns of a table [rows, inputs] by name."""
        return dict(zip(self.names, X.T, strict=True))

    def __call__(self, X: Array) -> Array:
        """[rows, inputs] -> [rows]."""
        values: Array = self.expression(self.columns(X))
        return values

    def sample(self, rows: int, seed: int = 0) -> tuple[Array, Array]:
        """``X`` [rows, inputs] and ``y`` [rows], all finite; other points are drawn again.

        Args:
            rows: how many.
            seed: with the law's name it fixes the sample.

        Raises:
            ValueError: the formula is finite almost nowhere on the ranges.
        """
        rng = np.random.default_rng([seed, zlib.crc32(self.name.encode())])
        kept, count = [], 0
        for _ in range(_DRAWS):
            X = np.stack([variable.sample(rows, rng) for variable in self.inputs], axis=1)
            finite = X[np.isfinite(self(X))]
            kept.append(finite)
            count += len(finite)
            if count >= rows:
                X = np.concatenate(kept)[:rows]
                return X, self(X)
        raise ValueError(f"'{self.name}' is finite at only {count} of {_DRAWS * rows} points")

    def draw(self, rows: int, seed: int = 0) -> Array:
        """Points [rows, inputs] of the ranges, inside the formula's domain or not."""
        rng = np.random.default_rng([seed, zlib.crc32(self.name.encode())])
        return np.stack([variable.sample(rows, rng) for variable in self.inputs], axis=1)

    def widened(self, factor: float) -> Law:
        """The same formula on wider ranges."""
        return replace(self, inputs=tuple(i.widened(factor) for i in self.inputs))

    def spread(self, decades: float) -> Law:
        """The same formula on ranges many decades wide."""
        return replace(self, inputs=tuple(i.spread(decades) for i in self.inputs))


def uniform(name: str, low: float, high: float) -> Input:
    return Input(name, low, high)


def log(name: str, low: float, high: float, sign: Sign = "pos") -> Input:
    return Input(name, low, high, "log", sign)


def whole(name: str, low: int, high: int) -> Input:
    return Input(name, low, high, "integer")


def _inputs(names: str, low: float, high: float) -> tuple[Input, ...]:
    return tuple(uniform(name, low, high) for name in names.split())


EIGHT = (
    Law(
        "soft gravity",
        "m1*m2*dx/(dx**2 + dy**2 + 0.01)**1.5",
        (*_inputs("m1 m2", 0.5, 2), *_inputs("dx dy", -1, 1)),
        "n-body simulation",
    ),
    Law(
        "spring",
        "2*(1 - 1/sqrt(dx**2 + dy**2))*dx",
        _inputs("dx dy", -2, 2),
        "n-body simulation",
    ),
    Law(
        "heat solution",
        "exp(-1.97*t)*sin(pi*x)",
        (uniform("t", 0, 1), uniform("x", -1, 1)),
        "heat equation",
    ),
    Law(
        "gaussian density",
        "exp(-x**2/(2*s**2))/(s*sqrt(2*pi))",
        (uniform("x", -3, 3), uniform("s", 0.5, 2)),
        "statistics",
    ),
    Law(
        "reciprocal root",
        "x0/sqrt(1 - x1**2)",
        (uniform("x0", -2, 2), uniform("x1", -0.9, 0.9)),
        "relativity",
    ),
    Law(
        "lorenz y",
        "x*(28 - z) - y",
        (uniform("x", -20, 20), uniform("y", -25, 25), uniform("z", 0, 45)),
        "chaotic systems",
    ),
    Law(
        "square and sine",
        "x0**2 + 3*sin(x4) - 4",
        _inputs("x0 x1 x2 x3 x4", -3, 3),
        "this project's README",
    ),
    Law(
        "log over rational",
        "x0*log(x1)/(1 + x2)",
        (uniform("x0", -2, 2), uniform("x1", 0.2, 5), uniform("x2", 0, 3)),
        "made for this benchmark",
    ),
)
"""The laws of everyday measurement."""

TWELVE = tuple(
    Law(name, formula, inputs, "made for choosing")
    for name, formula, inputs in (
        ("saturating product", "a*b/(1 + c**2)", _inputs("a b c", 0.5, 3)),
        ("damped wave", "exp(-t)*cos(3*x) + x", _inputs("t x", 0, 2)),
        ("direction", "a/sqrt(b**2 + c**2)", _inputs("a b c", 0.5, 2)),
        ("mean and square", "sqrt(a*b) + 0.5*c**2", _inputs("a b c", 0.5, 3)),
        ("logarithmic growth", "a*log(1 + b) - c", _inputs("a b c", 0.5, 3)),
        ("half saturation", "3*a*b**2/(2 + a)", _inputs("a b", 0.2, 3)),
        ("modulated sine", "sin(2*a)*b + 0.3", _inputs("a b", -2, 2)),
        ("quadratic form", "a**2 - a*b + 2", _inputs("a b", -2, 2)),
        ("reciprocal sum", "1/(a + 0.5*b*c)", _inputs("a b c", 0.5, 2)),
        ("bell", "b*exp(-(a - 1)**2)", _inputs("a b", -1, 3)),
        ("decay over distance", "a*exp(-b/2)/c", _inputs("a b c", 0.5, 3)),
        ("kinetic energy", "0.5*a*(b**2 + c**2)", _inputs("a b c", 0.3, 2)),
    )
)
"""Laws of 6 to 12 nodes, to see which equation of a front is chosen."""

_DISTANCE = log("r", 0.5, 5)
_KELVIN = uniform("T", 250, 600)

TEXTBOOK = (
    # -- mechanics
    Law(
        "projectile range",
        "v**2*sin(2*a)/9.81",
        (log("v", 1, 100), uniform("a", 0.1, 1.5)),
        "mechanics",
    ),
    Law(
        "pendulum period, first correction",
        "2*pi*sqrt(l/9.81)*(1 + a**2/16)",
        (log("l", 0.1, 10), uniform("a", 0, 1.5)),
        "mechanics",
    ),
    Law(
        "damped oscillation",
        "a*exp(-g*t)*cos(w*t)",
        (log("a", 0.1, 10), uniform("g", 0.1, 1), uniform("t", 0, 4), uniform("w", 0.5, 4)),
        "mechanics",
    ),
    Law("reduced mass", "m*n/(m + n)", (log("m", 0.1, 10), log("n", 0.1, 10)), "mechanics"),
    Law("atwood machine", "9.81*(m - n)/(m + n)", _inputs("m n", 0.5, 5), "mechanics"),
    Law(
        "rocket with gravity loss",
        "u*log(m/n) - 9.81*t",
        (log("u", 100, 5000), log("m", 10, 100), log("n", 1, 9), uniform("t", 0, 60)),
        "mechanics",
    ),
    Law(
        "elastic collision",
        "((m - n)*v + 2*n*w)/(m + n)",
        (*_inputs("m n", 0.5, 5), *_inputs("v w", -3, 3)),
        "mechanics",
    ),
    Law(
        "rolling down a slope",
        "9.81*sin(a)/(1 + k)",
        (uniform("a", 0.05, 1.5), uniform("k", 0.1, 1)),
        "mechanics",
    ),
    # -- astronomy
    Law(
        "orbit equation",
        "p/(1 + e*cos(f))",
        (log("p", 0.1, 10), uniform("e", 0, 0.9), uniform("f", 0, 6.28)),
        "astronomy",
    ),
    Law(
        "orbital speed (vis-viva)",
        "sqrt(k*(2/r - 1/a))",
        (log("k", 0.1, 10), uniform("r", 0.5, 1.5), uniform("a", 0.8, 3)),
        "astronomy",
    ),
    Law(
        "third law of Kepler",
        "2*pi*sqrt(a**3/(6.674e-11*m))",
        (log("a", 1e10, 1e12), log("m", 1e29, 1e31)),
        "astronomy",
    ),
    Law(
        "tidal acceleration",
        "2*k*m*s/r**3",
        (log("k", 0.1, 10), log("m", 0.1, 10), log("s", 0.01, 0.1), _DISTANCE),
        "astronomy",
    ),
    # -- fluids
    Law(
        "drag",
        "0.5*d*c*a*v**2",
        (uniform("d", 0.5, 2), uniform("c", 0.1, 1.5), log("a", 0.01, 1), log("v", 1, 100)),
        "fluids",
    ),
    Law(
        "flow through a pipe (Poiseuille)",
        "pi*p*r**4/(8*u*l)",
        (log("p", 10, 1e4), log("r", 1e-3, 1e-1), log("u", 1e-4, 1e-2), log("l", 0.1, 10)),
        "fluids",
    ),
    Law(
        "settling speed (Stokes)",
        "2/9*(d - f)*9.81*r**2/u",
        (
            uniform("d", 1500, 8000),
            uniform("f", 800, 1200),
            log("r", 1e-5, 1e-3),
            log("u", 1e-3, 1),
        ),
        "fluids",
    ),
    Law(
        "total pressure (Bernoulli)",
        "p + 0.5*d*v**2 + 9.81*d*h",
        (
            uniform("p", 1e4, 1e5),
            uniform("d", 500, 1500),
            uniform("v", 0.1, 10),
            uniform("h", 0, 10),
        ),
        "fluids",
    ),
    Law(
        "speed of water waves",
        "sqrt(9.81/k*tanh(k*h))",
        (log("k", 0.1, 10), log("h", 0.05, 5)),
        "fluids",
    ),
    Law(
        "pressure in the atmosphere",
        "p*exp(-0.029*9.81*h/(8.314*T))",
        (uniform("p", 9e4, 1.1e5), uniform("h", 0, 1e4), uniform("T", 220, 310)),
        "fluids",
    ),
    # -- heat
    Law(
        "pressure of a real gas (van der Waals)",
        "8.314*T/(v - b) - a/v**2",
        (_KELVIN, uniform("v", 0.5, 3), uniform("b", 0.02, 0.2), uniform("a", 100, 1000)),
        "heat",
    ),
    Law(
        "work of an ideal engine",
        "q*(1 - c/h)",
        (log("q", 10, 1000), uniform("c", 250, 320), uniform("h", 350, 900)),
        "heat",
    ),
    Law(
        "isothermal work",
        "8.314*n*T*log(v/w)",
        (log("n", 0.1, 10), _KELVIN, log("v", 0.1, 10), log("w", 0.1, 10)),
        "heat",
    ),
    Law(
        "radiated power",
        "5.67e-8*e*(T**4 - S**4)",
        (uniform("e", 0.1, 1), _KELVIN, uniform("S", 250, 320)),
        "heat",
    ),
    Law(
        "cooling",
        "s + (b - s)*exp(-k*t)",
        (uniform("s", 10, 30), uniform("b", 40, 100), uniform("k", 0.1, 1), uniform("t", 0, 5)),
        "heat",
    ),
    Law(
        "speeds in a gas (Maxwell)",
        "sqrt(2/pi)*v**2/a**3*exp(-v**2/(2*a**2))",
        (uniform("v", 0.1, 4), uniform("a", 0.5, 2)),
        "heat",
    ),
    Law(
        "occupation of states (Fermi)",
        "1/(exp((e - m)/k) + 1)",
        (uniform("e", 0, 2), uniform("m", 0.5, 1.5), uniform("k", 0.1, 1)),
        "heat",
    ),
    Law(
        "heat capacity of a crystal (Einstein)",
        "x**2*exp(x)/(exp(x) - 1)**2",
        (uniform("x", 0.2, 6),),
        "heat",
    ),
    # -- electromagnetism
    Law(
        "three resistors in parallel",
        "1/(1/a + 1/b + 1/c)",
        (log("a", 1, 100), log("b", 1, 100), log("c", 1, 100)),
        "electromagnetism",
    ),
    Law(
        "charging a capacitor",
        "v*(1 - exp(-t/(r*c)))",
        (uniform("v", 1, 12), uniform("t", 0.1, 5), log("r", 0.5, 5), log("c", 0.5, 5)),
        "electromagnetism",
    ),
    Law(
        "impedance",
        "sqrt(r**2 + (w*l - 1/(w*c))**2)",
        (uniform("r", 0.1, 2), uniform("w", 0.5, 3), uniform("l", 0.2, 2), uniform("c", 0.2, 2)),
        "electromagnetism",
    ),
    Law(
        "force on a charge",
        "q*(f + v*b - w*c)",
        (log("q", 0.1, 10, "pos_neg"), *_inputs("f v b w c", -2, 2)),
        "electromagnetism",
    ),
    Law(
        "field of a loop",
        "2*pi*1e-7*i*r**2/(r**2 + z**2)**1.5",
        (log("i", 0.1, 10), uniform("r", 0.1, 1), uniform("z", -1, 1)),
        "electromagnetism",
    ),
    Law(
        "diode",
        "i*(exp(v/(n*0.02585)) - 1)",
        (log("i", 1e-12, 1e-9), uniform("v", -0.1, 0.5), uniform("n", 1, 2)),
        "electromagnetism",
    ),
    Law(
        "skin depth",
        "sqrt(2*d/(w*1.2566e-6*m))",
        (log("d", 1e-8, 1e-6), log("w", 1e2, 1e6), log("m", 1, 1000)),
        "electromagnetism",
    ),
    # -- optics and waves
    Law("thin lens", "1/(1/f - 1/d)", (uniform("f", 0.1, 0.5), uniform("d", 0.6, 5)), "optics"),
    Law("polariser", "i*cos(a)**2", (log("i", 0.1, 10), uniform("a", 0, 3.14)), "optics"),
    Law(
        "etalon",
        "1/(1 + f*sin(d/2)**2)",
        (log("f", 0.5, 50), uniform("d", 0, 12)),
        "optics",
    ),
    Law(
        "lensmaker",
        "(n - 1)*(1/r - 1/s)",
        (uniform("n", 1.3, 2), log("r", 0.1, 1), log("s", 0.1, 1, "pos_neg")),
        "optics",
    ),
    Law("reflection", "((n - m)/(n + m))**2", _inputs("n m", 1, 3), "optics"),
    Law(
        "dispersion (Cauchy)",
        "a + b/l**2 + c/l**4",
        (uniform("a", 1.3, 1.8), *_inputs("b c", 0.001, 0.02), uniform("l", 0.3, 1)),
        "optics",
    ),
    Law(
        "level of a sound",
        "10*log(i/1e-12)/log(10)",
        (log("i", 1e-12, 1),),
        "acoustics",
    ),
    Law(
        "doppler shift of a sound",
        "f*(343 + v)/(343 - w)",
        (log("f", 100, 1e4), *_inputs("v w", -60, 60)),
        "acoustics",
    ),
    # -- relativity and atoms
    Law("energy of a particle", "sqrt(p**2 + m**2)", _inputs("p m", 0.1, 5), "relativity"),
    Law(
        "doppler shift of light",
        "f*sqrt((1 + b)/(1 - b))",
        (log("f", 0.1, 10), uniform("b", -0.9, 0.9)),
        "relativity",
    ),
    Law("adding speeds", "(u + v)/(1 + u*v)", _inputs("u v", -0.9, 0.9), "relativity"),
    Law(
        "spectral lines (Rydberg)",
        "10973731.57*(1/n**2 - 1/m**2)",
        (whole("n", 1, 4), whole("m", 5, 12)),
        "atoms",
    ),
    Law(
        "bond (Morse)",
        "d*(1 - exp(-a*(r - s)))**2",
        (uniform("d", 1, 5), uniform("a", 0.5, 2), uniform("r", 0.5, 4), uniform("s", 0.8, 1.5)),
        "atoms",
    ),
    Law(
        "pair potential (Lennard-Jones)",
        "4*e*((s/r)**12 - (s/r)**6)",
        (uniform("e", 0.5, 2), uniform("s", 0.8, 1.2), uniform("r", 0.9, 2.5)),
        "atoms",
    ),
    Law(
        "screened potential (Yukawa)",
        "-g*exp(-m*r)/r",
        (log("g", 0.1, 10), uniform("m", 0.2, 2), _DISTANCE),
        "atoms",
    ),
    # -- chemistry
    Law(
        "rate constant (Arrhenius)",
        "a*exp(-e/(8.314*T))",
        (log("a", 1e3, 1e6), uniform("e", 5e3, 3e4), _KELVIN),
        "chemistry",
    ),
    Law(
        "electrode potential (Nernst)",
        "e + 8.314*T/(96485*z)*log(c/d)",
        (
            uniform("e", -1, 1),
            uniform("T", 270, 350),
            whole("z", 1, 3),
            log("c", 1e-3, 1),
            log("d", 1e-3, 1),
        ),
        "chemistry",
    ),
    Law(
        "adsorption (Langmuir)",
        "q*k*p/(1 + k*p)",
        (log("q", 0.5, 5), log("k", 0.1, 10), log("p", 0.1, 10)),
        "chemistry",
    ),
    Law(
        "second order reaction",
        "a/(1 + a*k*t)",
        (log("a", 0.1, 10), log("k", 0.1, 1), uniform("t", 0, 10)),
        "chemistry",
    ),
    # -- biology
    Law(
        "inhibited enzyme",
        "v*s/(k*(1 + i/j) + s)",
        (*(log(name, 0.2, 5) for name in "vskij"),),
        "biology",
    ),
    Law("cooperative binding (Hill)", "v*s**2/(k**2 + s**2)", _inputs("v s k", 0.2, 5), "biology"),
    Law(
        "logistic growth",
        "k/(1 + a*exp(-r*t))",
        (log("k", 1, 100), uniform("a", 1, 20), uniform("r", 0.2, 2), uniform("t", 0, 5)),
        "biology",
    ),
    Law(
        "gompertz growth",
        "k*exp(-b*exp(-c*t))",
        (log("k", 1, 100), uniform("b", 0.5, 3), uniform("c", 0.2, 2), uniform("t", 0, 4)),
        "biology",
    ),
    Law(
        "predator and prey",
        "0.7*x - 0.4*x*y",
        _inputs("x y", 0.1, 5),
        "biology",
    ),
    Law(
        "functional response (Holling)",
        "a*n/(1 + a*h*n)",
        (log("a", 0.1, 2), log("n", 1, 50), uniform("h", 0.05, 0.5)),
        "biology",
    ),
    # -- economics and statistics
    Law(
        "production (Cobb-Douglas)",
        "a*k**0.3*l**0.7",
        (log("a", 0.5, 5), log("k", 1, 100), log("l", 1, 100)),
        "economics",
    ),
    Law(
        "rate of an annuity",
        "p*r/(1 - exp(-r*n))",
        (log("p", 100, 1e5), uniform("r", 0.01, 0.15), uniform("n", 1, 30)),
        "economics",
    ),
    Law(
        "cauchy density",
        "1/(pi*g*(1 + ((x - m)/g)**2))",
        (*_inputs("x m", -3, 3), uniform("g", 0.3, 2)),
        "statistics",
    ),
    Law(
        "logistic density",
        "exp(-x/s)/(s*(1 + exp(-x/s))**2)",
        (uniform("x", -4, 4), uniform("s", 0.5, 2)),
        "statistics",
    ),
)
"""Laws from textbooks, by field."""
