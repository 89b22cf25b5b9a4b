"""How many threads torch takes on a CPU, for each thread of the program."""

import torch

__all__ = ["MOST_PASSES", "SMALL_INPUT", "share_threads", "use_threads"]

SMALL_INPUT = 1 << 17  # pixels of the network's input: the demo model has half as many, the published ones eight times
MOST_PASSES = 4  # the interpreter runs one thread at a time, and is what more of them would wait for


def use_threads(count: int) -> None:
    """In this thread. Those that begin later get what any thread has set last, so put that right afterwards."""
    torch.get_num_threads()  # the first use in a thread would overwrite what was set before
    torch.set_num_threads(count)


def share_threads(threads: int, input_pixels: int) -> tuple[int, int]:
    """How many forward passes go side by side on a CPU, and the threads of each.

    Operations on a small input are too short to be shared: cores that work on one pass wait for each other, and for
    whoever has taken one of them meanwhile. So each core gets a frame of its own.
    """
    passes = min(threads, MOST_PASSES) if input_pixels <= SMALL_INPUT else 1
    return passes, threads // passes
