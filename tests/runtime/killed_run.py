"""A run that is to be killed, in a process of its own."""

from tests.runtime.small_runs import prepared

SINKS = ["jsonl", "png", "masks", "tracks", "mots", "vps"]


def go_on(output: str, commit_seconds: float) -> None:
    """Begin the run in `output`, or go on with it, to its end."""
    job = prepared(output=output, resume=True, sinks=SINKS, commit_seconds=commit_seconds)
    for _ in job.results():
        pass
