"""Random generators that are a pure function of what they are for, on every machine and in every process."""

import zlib

import numpy as np

__all__ = ["generator"]


def generator(*purpose: str | int) -> np.random.Generator:
    """A generator for one purpose, such as ("texture", "sky", 3); the same words and numbers give the same stream.

    Numbers are at least 0. Words keep purposes apart that would otherwise share their numbers.
    """
    entropy = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in purpose]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))
