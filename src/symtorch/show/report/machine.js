"use strict";
// The stack machine that runs equations: see programs.py for its words.

// Numerical Recipes' Chebyshev fit of erfc: seven digits, more than a curve shows.
function erfc(x) {
  const z = Math.abs(x), t = 1 / (1 + z / 2);
  const c = [-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807,
    -1.13520398, 1.48851587, -0.82215223, 0.17087277];
  const series = c.reduceRight((sum, each) => sum * t + each, 0);
  const value = t * Math.exp(-z * z + series);
  return x >= 0 ? value : 2 - value;
}
const pow = (x, y) => (Math.abs(x) === 1 && !Number.isFinite(y)) || x === 1 ? (Number.isNaN(x) ? NaN : 1) : x ** y;
const UNARY = {
  neg: (x) => -x, inv: (x) => 1 / x, square: (x) => x * x, cube: (x) => x * x * x,
  erf: (x) => 1 - erfc(x), erfc, relu: (x) => Math.max(x, 0), sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
};
for (const name of ["abs", "sign", "sqrt", "cbrt", "exp", "expm1", "log", "log2", "log10", "log1p", "sin",
  "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "floor", "ceil"])
  UNARY[name] = Math[name];
const BINARY = {
  "+": (x, y) => x + y, "-": (x, y) => x - y, "*": (x, y) => x * y, "/": (x, y) => x / y, "^": pow,
  max: Math.max, min: Math.min, atan2: Math.atan2,
  mod: (x, y) => { const r = x % y; return r !== 0 && (r < 0) !== (y < 0) ? r + y : r; },
  cond: (x, y) => (x > 0 ? y : 0), greater: (x, y) => (x > y ? 1 : 0), less: (x, y) => (x < y ? 1 : 0),
};

function run(words, constants, variables) {
  const stack = [], frames = [];
  for (const word of words) {
    if (Object.hasOwn(BINARY, word)) {
      const right = stack.pop();
      stack.push(BINARY[word](stack.pop(), right));
    } else if (Object.hasOwn(UNARY, word)) stack.push(UNARY[word](stack.pop()));
    else if (/^c\d+$/.test(word)) stack.push(constants[+word.slice(1)]);
    else if (/^v\d+$/.test(word)) stack.push(variables[+word.slice(1)]);
    else if (/^a\d$/.test(word)) stack.push(frames.at(-1)[+word[1]]);
    else if (word.startsWith("enter")) frames.push(stack.splice(-Number(word[5])));
    else if (word === "leave") frames.pop();
    else stack.push(Number(word));
  }
  return stack.pop();
}
