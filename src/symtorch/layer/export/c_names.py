"""Names that C keeps for itself."""

from __future__ import annotations

import re
from functools import cache

from ...errors import InputError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

_FLOATING = """
    acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh drem erf erfc exp exp10
    exp2 expm1 fabs fdim finite floor fma fmax fmin fmod frexp gamma gamma_r hypot ilogb infnan
    isinf isnan j0 j1 jn ldexp lgamma lgamma_r llrint llround log log10 log1p log2 logb lrint
    lround modf nan nearbyint nextafter nexttoward pow pow10 remainder remquo rint round scalb
    scalbln scalbn significand sin sincos sinh sqrt tan tanh tgamma trunc y0 y1 yn
    cabs cacos cacosh carg casin casinh catan catanh ccos ccosh cexp cimag clog conj cpow cproj
    creal csin csinh csqrt ctan ctanh
"""
"""Functions of math.h and complex.h, each with a float and a long double twin (sinf, sinl)."""

_OTHERS = """
    double_t float_t signgam matherr fpclassify isfinite isgreater isgreaterequal isless
    islessequal islessgreater isnormal isunordered math_errhandling signbit
    abort abs atexit atof atoi atol atoll bsearch calloc div exit free getenv labs ldiv llabs
    lldiv malloc mblen qsort rand realloc srand strtod strtof strtol strtold strtoll strtoul
    strtoull system alloca
    fprintf fputc fputs fscanf fwrite getchar printf putc putchar puts scanf snprintf sprintf
    sscanf vfprintf vfscanf vprintf vscanf vsnprintf vsprintf vsscanf
    isalnum isalpha isblank iscntrl isdigit isgraph islower isprint ispunct isspace isupper
    iswalnum iswalpha iswblank iswcntrl iswdigit iswgraph iswlower iswprint iswpunct iswspace
    iswupper iswxdigit isxdigit tolower toupper towlower towupper
    memchr memcmp memcpy memmove memset strcat strchr strcmp strcpy strcspn strlen strncat
    strncmp strncpy strpbrk strrchr strspn strstr index rindex
    asm bool complex imaginary linux main typeof unix
"""
"""Other names of the standard library that compilers know without being told."""

_CAPITAL = re.compile(r"_[_A-Z]|(E|FP_|HUGE_|M_|MATH_)[A-Z0-9]|(DOMAIN|INFINITY|NAN|OVERFLOW)\Z")
"""Reserved beginnings, and macros of math.h and errno.h."""


def check_function_name(name: str) -> None:
    """Check that C takes a name for a function.

    >>> check_function_name("law")

    Raises:
        InputError: no identifier, a word of C's grammar or a name of its library.
    """
    if not _NAME.match(name):
        raise InputError(
            f"'{name}' cannot be the name of a function in C; use letters, digits and _, no "
            f"digit first"
        )
    if name in _reserved() or _CAPITAL.match(name):
        raise InputError(
            f"'{name}' cannot be the name of a function in C, which has it already; "
            f"try '{name}_law'"
        )


@cache
def _reserved() -> frozenset[str]:
    from sympy.printing.c import reserved_words, reserved_words_c99

    floating = _FLOATING.split()
    twins = (f"{function}{kind}" for function in floating for kind in ("", "f", "l"))
    return frozenset({*reserved_words, *reserved_words_c99, *twins, *_OTHERS.split()})
