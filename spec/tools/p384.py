# SPDX-License-Identifier: MIT
"""Just enough P-384 arithmetic to build points with chosen properties.

Only the generator of the vectors uses this, to make points that no library hands out: a shared
point with a given number of leading zero bytes, or coordinates that are not reduced. It is slow and
not constant-time, and every valid result is checked against the `cryptography` package.
"""

from __future__ import annotations

P = 2**384 - 2**128 - 2**96 + 2**32 - 1
N = int(
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    16,
)
B = int(
    "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
    16,
)
G = (
    int("aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7", 16),
    int("3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f", 16),
)
Point = tuple[int, int]


def on_curve(x: int, y: int) -> bool:
    return (y * y - (x * x * x - 3 * x + B)) % P == 0


def root(value: int) -> int | None:
    """A square root modulo P, which is 3 modulo 4; None when there is none."""
    candidate = pow(value, (P + 1) // 4, P)
    return candidate if candidate * candidate % P == value % P else None


def lift(x: int) -> Point | None:
    """The point with this x and an even y; None when there is none."""
    y = root((x * x * x - 3 * x + B) % P)
    if y is None:
        return None
    return (x, y if y % 2 == 0 else P - y)


def add(left: Point | None, right: Point | None) -> Point | None:
    """The sum; None is the point at infinity."""
    if left is None or right is None:
        return left or right
    (x1, y1), (x2, y2) = left, right
    if x1 == x2 and (y1 + y2) % P == 0:
        return None
    if left == right:
        slope = (3 * x1 * x1 - 3) * pow(2 * y1, -1, P) % P
    else:
        slope = (y2 - y1) * pow(x2 - x1, -1, P) % P
    x = (slope * slope - x1 - x2) % P
    return (x, (slope * (x1 - x) - y1) % P)


def multiply(scalar: int, point: Point) -> Point | None:
    result = None
    for bit in bin(scalar)[2:]:
        result = add(result, result)
        if bit == "1":
            result = add(result, point)
    return result


def encode(x: int, y: int, first: int = 4) -> bytes:
    return bytes([first]) + x.to_bytes(48, "big") + y.to_bytes(48, "big")


def _poly_mod(a: list[int], f: list[int]) -> list[int]:
    """a modulo the monic cubic f; coefficients from the constant term up."""
    a = a[:]
    while len(a) > 3:
        top = a.pop()
        for i in range(3):
            a[len(a) - 3 + i] = (a[len(a) - 3 + i] - top * f[i]) % P
    return a


def _poly_mul(a: list[int], b: list[int], f: list[int]) -> list[int]:
    product = [0] * (len(a) + len(b) - 1)
    for i, left in enumerate(a):
        for j, right in enumerate(b):
            product[i + j] = (product[i + j] + left * right) % P
    return _poly_mod(product, f)


def x_for_y(y: int) -> int | None:
    """An x with (x, y) on the curve, when the cubic has exactly one root; else None.

    gcd(x^P - x, cubic) is x - r exactly when r is the only root.
    """
    cubic = [(B - y * y) % P, P - 3, 0, 1]
    power, base = [1], [0, 1]
    exponent = P
    while exponent:
        if exponent & 1:
            power = _poly_mul(power, base, cubic)
        base = _poly_mul(base, base, cubic)
        exponent >>= 1
    power += [0] * (3 - len(power))
    power[1] = (power[1] - 1) % P
    a, b = cubic, power
    while True:
        while b and b[-1] == 0:
            b.pop()
        if not b:
            break
        inverse = pow(b[-1], -1, P)
        a = a[:]
        while len(a) >= len(b):
            factor = a[-1] * inverse % P
            for i, value in enumerate(b):
                at = len(a) - len(b) + i
                a[at] = (a[at] - factor * value) % P
            a.pop()
        a, b = b, a
    if len(a) != 2:
        return None
    return -a[0] * pow(a[1], -1, P) % P
