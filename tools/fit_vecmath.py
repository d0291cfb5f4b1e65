# SPDX-License-Identifier: MIT
"""Prints the polynomial coefficients of cpp/kernels/vecmath.h, special.h and gamma.h: minimax fits by Remez exchange in 60 digits (mpmath)."""

from itertools import pairwise

import numpy as np
from mpmath import asin, cos, erf, erfc, exp, expm1, log, matrix, mp, mpf, pi, sin, sqrt

mp.dps = 60


def remez(f, weight, degree, low, high, rounds=12, grid=1200):
    """Coefficients c of p(x) = sum c_k x^k with the least largest |weight(x) (p(x) - f(x))|, and that error."""
    low, high, count = mpf(low), mpf(high), degree + 2
    point = lambda u: (low + high) / 2 + (high - low) / 2 * u  # noqa: E731
    nodes = [point(-cos(pi * k / (count - 1))) for k in range(count)]
    dense = [point(-cos(pi * (k + mpf("0.5")) / grid)) for k in range(grid)]
    samples = [(x, f(x), weight(x)) for x in dense]
    for _ in range(rounds):
        a = matrix(count, count)
        b = matrix(count, 1)
        for i, x in enumerate(nodes):
            for k in range(degree + 1):
                a[i, k] = x**k
            a[i, degree + 1] = (-1) ** i / weight(x)
            b[i] = f(x)
        solved = mp.lu_solve(a, b)
        c = [solved[k] for k in range(degree + 1)]
        error = [w * (mp.polyval(c[::-1], x) - y) for x, y, w in samples]
        runs, start = [], 0  # the extremum of each run of one sign is a new node
        for i in range(1, grid + 1):
            if i == grid or (error[i] > 0) != (error[start] > 0):
                runs.append(max(range(start, i), key=lambda j: abs(error[j])))
                start = i
        while len(runs) > count:
            runs.pop(0 if abs(error[runs[0]]) < abs(error[runs[-1]]) else -1)
        if len(runs) < count:
            break
        nodes = [dense[i] for i in runs]
    return c, max(abs(e) for e in error)


def show(name, f, weight, low, high, degrees):
    for suffix, degree, digits in zip(("f", "d"), degrees, (9, 17), strict=True):
        c, error = remez(f, weight, degree, low, high)
        print(f"// {name} {suffix}: largest weighted error 2^{float(log(error, 2)):.1f}")
        print("  " + ", ".join(mp.nstr(x, digits, min_fixed=-2, max_fixed=3) for x in c) + "\n")


def rounded(c, f, weight, grid=3000):
    """Coefficients of a fit on [-1, 1] as floats, each, then every two of them, moved by a unit in the last place while
    that lessens the largest error: rounding sixteen of them costs more than the fit is off."""
    points = [cos(pi * k / grid) for k in range(grid + 1)]
    values, weights = (np.array([float(g(x)) for x in points]) for g in (f, weight))
    powers = np.array([[float(x) ** k for x in points] for k in range(len(c))])
    c = np.array([float(mp.nstr(x, 9)) for x in c], np.float32)
    units = [{i: s} for i in range(len(c)) for s in (-1, 1)]
    pairs = [{i: s, j: r} for i in range(len(c)) for j in range(i) for s in (-1, 1) for r in (-1, 1)]
    least, improved = np.inf, True
    while improved:
        improved = False
        for moves, gain in (([{}], 1), (units, 1), (pairs, 0.999)):
            if moves is pairs and improved:
                continue
            for move in moves:
                moved = c.copy()
                for k, sign in move.items():
                    moved[k] = np.nextafter(moved[k], np.float32(sign * np.inf))
                error = np.abs((moved.astype(np.float64) @ powers - values) * weights).max()
                if error < gain * least:
                    improved = improved or bool(move)
                    c, least = moved, error
    return c, least


def show_rounded(name, f, weight, degree):
    c, error = rounded(remez(f, weight, degree, -1, 1, rounds=20)[0], f, weight)
    print(f"// {name}: largest weighted error 2^{np.log2(error):.1f}\n  " + ", ".join(f"{x:.9g}" for x in c) + "\n")


def main():
    tiny, half, quarter, quarter_of_one = mpf("1e-12"), log(2) / 2, pi / 4, mpf("0.25")
    show("exp: (e^r - 1 - r) / r^2", lambda r: (expm1(r) - r) / r**2, lambda r: r**2 / exp(r), -half * 1.0001, half * 1.0003, (4, 9))
    limit = ((sqrt(2) - 1) / (sqrt(2) + 1)) ** 2
    show("log: (log((1 + s) / (1 - s)) / s - 2) / z, z = s^2",
         lambda z: (log((1 + sqrt(z)) / (1 - sqrt(z))) / sqrt(z) - 2) / z, lambda z: z, tiny, limit, (3, 7))
    show("sin: (sin(r) / r - 1) / t, t = r^2",
         lambda t: (sin(sqrt(t)) / sqrt(t) - 1) / t, lambda t: t, tiny, quarter**2, (2, 6))
    show("cos: (cos(r) - 1 + t / 2) / t^2",
         lambda t: (cos(sqrt(t)) - 1 + t / 2) / t**2, lambda t: t**2, tiny, quarter**2, (2, 6))
    k = 3  # t = (a - k) / (a + k) maps [0, 9.5] evenly; erfc(a) = exp(-a (a + k) p(t))
    back = lambda t: k * (1 + t) / (1 - t)  # noqa: E731
    tail = lambda t: -log(erfc(back(t))) / back(t) / (back(t) + k)  # noqa: E731
    show("erfc: -log(erfc(a)) / (a (a + 3)) in t = (a - 3) / (a + 3)",
         tail, lambda t: 1 / tail(t), tiny - 1, (mpf("9.5") - k) / (mpf("9.5") + k), (10, 24))
    square = lambda t: (t + 1) * mpf("3.92") ** 2 / 2  # noqa: E731
    ratio = lambda t: erf(sqrt(square(t))) / sqrt(square(t)) if t > tiny - 1 else 2 / sqrt(pi)  # noqa: E731
    show_rounded("erf: erf(a) / a (less 1/2, in the first) in t = 2 (a / 3.92)^2 - 1", ratio, lambda t: 1 / ratio(t), 16)
    slope, over = mpf("0.3"), lambda u: (1 / u - 1) / mpf("0.3")
    spread = lambda u: exp(over(u) ** 2 / 2) * erfc(over(u) / sqrt(2)) / 2 / u  # noqa: E731
    show("normal tail: e^(a^2 / 2) erfc(a / sqrt 2) / 2 / u in u = 1 / (1 + 0.3 a), up to a = 13",
         spread, lambda u: 1 / spread(u) / (1 + over(u) / 4), 1 / (1 + 13 * slope), 1, (7, 7))
    show("normal tail: (2^f - 1) / f", lambda f: expm1(f * log(2)) / f, lambda f: abs(f) / mpf(2) ** f, -mpf("0.5"), mpf("0.5"), (4, 4))
    show("2^f: (2^f - 1) / f", lambda f: expm1(f * log(2)) / f, lambda f: abs(f) / mpf(2) ** f, -mpf("0.5"), mpf("0.50001"), (5, 11))
    step = mpf(1) / 32
    show("pow: log2(1 + r) / r", lambda r: log(1 + r) / r / log(2), lambda r: r / log(1 + r), -mpf("0.0304"), mpf("0.0305"), (5, 5))
    show("pow: (2^f - 1) / f", lambda f: expm1(f * log(2)) / f, lambda f: abs(f), -step, step * mpf("1.001"), (2, 2))
    # 16 intervals from 0.69921875 (0x3FE66) to twice that, even in the number's bits: 1 / c, c in the middle, and log2(c); c is 1
    # where 1 lies, so that logarithms near 0 keep all their digits.
    edges = [np.array([(0x3FE66 << 44) + (i << 48)], np.uint64).view(np.float64)[0] for i in range(17)]
    inverse = [1.0 if a < 1 < b else float(2 / (mpf(a) + mpf(b))) for a, b in pairwise(edges)]
    print("// pow: 1 / c, log2(c), 2^(i/16)")
    for row in (inverse, [-log(mpf(c), 2) for c in inverse], [mpf(2) ** (mpf(i) / 16) for i in range(16)]):
        print("  " + ", ".join(float(v).hex() for v in row))
    # The same of 32 for float64, each logarithm in two parts, of which the first has 42 bits behind the point.
    edges = [np.array([0x3FE62AAA00000000 + (i << 47)], np.uint64).view(np.float64)[0] for i in range(33)]
    inverse = [1.0 if a < 1 < b else float(2 / (mpf(a) + mpf(b))) for a, b in pairwise(edges)]
    high = [float(mp.nint(-log(mpf(c)) * 2**42) / 2**42) for c in inverse]
    print("// pow of float64: 1 / c, log(c) in two parts")
    for row in (inverse, high, [-log(mpf(c)) - h for c, h in zip(inverse, high, strict=True)]):
        print("  " + ", ".join(float(v).hex() for v in row))
    within = mpf("0.01523")
    show("pow of float64: (log(1 + r) - r + r^2 / 2) / r^3", lambda r: (log(1 + r) - r + r * r / 2) / r**3,
         lambda r: r**3 / log(1 + r), -within, within * mpf("1.001"), (4, 7))
    show("asin: (asin(a) / a - 1) / z, z = a^2", lambda z: (asin(sqrt(z)) / sqrt(z) - 1) / z, lambda z: z, mpf("1e-9"), quarter_of_one, (4, 9))
    scaled = lambda t: exp(back(t) ** 2) * erfc(back(t))  # noqa: E731
    show("erfc: e^a^2 erfc(a) in t = (a - 3) / (a + 3), up to a = 10.2",
         scaled, lambda t: 1 / scaled(t), -1, (mpf("10.2") - k) / (mpf("10.2") + k), (10, 24))
    wave = lambda z: sin(pi * sqrt(z)) / sqrt(z)  # noqa: E731
    show("sin(pi u) / u, z = u^2", wave, lambda z: 1 / wave(z), tiny, quarter_of_one, (3, 7))
    show("atan: (atan(a) / a - 1) / t, t = a^2",
         lambda t: (mp.atan(sqrt(t)) / sqrt(t) - 1) / t, lambda t: t, tiny, 1, (8, 20))


if __name__ == "__main__":
    main()
