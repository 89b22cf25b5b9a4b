"""A run in a process of its own, to be killed: python killed_run.py OUTPUT"""

import sys

from tests.runtime.small_runs import prepared

SINKS = ["jsonl", "png", "masks", "tracks"]


def main(output: str) -> None:
    job = prepared(output=output, resume=True, sinks=SINKS, commit_seconds=0.0)
    for _ in job.results():
        pass


if __name__ == "__main__":
    main(sys.argv[1])
