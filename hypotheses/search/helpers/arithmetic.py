"""Divisors, primes and Fibonacci numbers."""

from itertools import chain


def divisors(number: int) -> list[int]:
    """The divisors of a positive number, in order."""
    if number < 1:
        raise ValueError(f"{number} is not positive")
    low = [one for one in range(1, int(number**0.5) + 1) if number % one == 0]
    return sorted(set(chain(low, [number // one for one in low])))


def prime_factors(number: int) -> list[int]:
    """The prime factors of a positive number, in order, each as often as it divides it."""
    if number < 1:
        raise ValueError(f"{number} is not positive")
    found = []
    factor = 2
    while factor * factor <= number:
        while number % factor == 0:
            found.append(factor)
            number //= factor
        factor += 1
    return found + [number] * (number > 1)


def is_prime(number: int) -> bool:
    """Whether a number is prime."""
    return number > 1 and prime_factors(number) == [number]


def fibonacci(place: int) -> int:
    """The Fibonacci number at a place, from 0, 1, 1, 2 on."""
    if place < 0:
        raise ValueError(f"{place} is no place")
    before, number = 1, 0
    for _ in range(place):
        before, number = number, before + number
    return number
