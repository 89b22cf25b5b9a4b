"""`streamseg streams ...`: looking after the streams that `streamseg run --detach` has left running."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from .app import app
from .options import BackgroundOption, ClassesOption, JsonOption, VocabularyOption
from .text import aligned, describe_words, printable

if TYPE_CHECKING:
    from ..runtime.cluster.deployed import StreamStatus
    from ..runtime.cluster.deployment import Deployment

streams = typer.Typer(name="streams", help="Look after the streams of a detached run.", no_args_is_help=True)
app.add_typer(streams)

AddressOption = Annotated[
    str, typer.Option("--ray-address", help="Of the cluster; auto: the one of this machine.", metavar="HOST:PORT|auto")
]
DeploymentOption = Annotated[str, typer.Option("--deployment", help="Its name (`ray.name`).", metavar="NAME")]
StreamArgument = Annotated[str, typer.Argument(help="Name of the stream.", metavar="STREAM")]

ADDRESS = "auto"
DEPLOYMENT = "streamseg"


@streams.command("list")
def list_streams(address: AddressOption = ADDRESS, deployment: DeploymentOption = DEPLOYMENT) -> None:
    """The streams, and where each comes from."""
    with _connected(address, deployment) as running:
        for line in aligned([[stream.name, stream.source, stream.status] for stream in running.streams()]):
            _say(line)


@streams.command()
def status(
    as_json: JsonOption = False, address: AddressOption = ADDRESS, deployment: DeploymentOption = DEPLOYMENT
) -> None:
    """What has become of the frames of every stream."""
    with _connected(address, deployment) as running:
        found = running.streams()
    if as_json:
        _say(json.dumps([_plain(stream) for stream in found], indent=1))
        return
    header = ["stream", "status", "decoded", "emitted", "dropped", "tracks", "worker", "words"]
    for line in aligned([header, *(_row(stream) for stream in found)]):
        _say(line)
    for stream in found:
        if stream.error is not None:
            _say(f"{stream.name}: {stream.error}")


@streams.command()
def add(
    source: Annotated[str, typer.Argument(help="A path that the cluster sees, a URL, ...", metavar="SOURCE")],
    name: Annotated[
        str | None, typer.Option(help="Of the stream; made from the source if left out.", metavar="NAME")
    ] = None,
    classes: ClassesOption = None,
    vocabulary: VocabularyOption = None,
    background: BackgroundOption = None,
    address: AddressOption = ADDRESS,
    deployment: DeploymentOption = DEPLOYMENT,
) -> None:
    """Add a stream; one that was removed before goes on."""
    with _connected(address, deployment) as running:
        for added in running.add(source, name=name, classes=classes, vocabulary=vocabulary, background=background):
            _say(f"{added}: added")


@streams.command()
def remove(stream: StreamArgument, address: AddressOption = ADDRESS, deployment: DeploymentOption = DEPLOYMENT) -> None:
    """End a stream; what has been segmented is written."""
    with _connected(address, deployment) as running:
        running.remove(stream)
        _say(f"{stream}: removed")


@streams.command("vocabulary")
def change_vocabulary(
    stream: StreamArgument,
    classes: ClassesOption = None,
    vocabulary: VocabularyOption = None,
    background: BackgroundOption = None,
    address: AddressOption = ADDRESS,
    deployment: DeploymentOption = DEPLOYMENT,
) -> None:
    """Give a stream other words, from its next frame on; its tracks keep their identities."""
    with _connected(address, deployment) as running:
        words = running.set_vocabulary(stream, classes=classes, vocabulary=vocabulary, background=background)
        _say(f"{stream}: {describe_words(words)}")


@streams.command()
def pause(stream: StreamArgument, address: AddressOption = ADDRESS, deployment: DeploymentOption = DEPLOYMENT) -> None:
    """Segment nothing of a stream for now."""
    with _connected(address, deployment) as running:
        running.pause(stream)
        _say(f"{stream}: paused")


@streams.command()
def resume(stream: StreamArgument, address: AddressOption = ADDRESS, deployment: DeploymentOption = DEPLOYMENT) -> None:
    """Go on with a stream that was paused."""
    with _connected(address, deployment) as running:
        running.resume(stream)
        _say(f"{stream}: goes on")


@streams.command()
def stop(address: AddressOption = ADDRESS, deployment: DeploymentOption = DEPLOYMENT) -> None:
    """End all streams, written as far as they are, and the deployment."""
    with _connected(address, deployment) as running:
        running.stop()
        _say(f"{deployment}: stopped")


@contextmanager
def _connected(address: str, deployment: str) -> "Iterator[Deployment]":
    from ..runtime.run import connect

    with connect(address, deployment) as running:
        yield running


def _row(stream: "StreamStatus") -> list[str]:
    totals = stream.totals
    return [
        stream.name,
        stream.status,
        f"{totals.decoded:,}",
        f"{totals.emitted:,}",
        f"{sum(totals.dropped.values()):,}",
        f"{totals.tracks:,}",
        "-" if stream.worker is None else str(stream.worker),
        stream.vocabulary.name,
    ]


def _plain(stream: "StreamStatus") -> dict[str, object]:
    return {
        "stream": stream.name,
        "source": stream.source,
        "status": stream.status,
        "worker": stream.worker,
        "lease": stream.lease,
        "vocabulary": {"name": stream.vocabulary.name, "version": stream.vocabulary.version},
        "error": stream.error,
        **stream.totals.to_dict(),
    }


def _say(text: str) -> None:
    print(printable(text, sys.stdout))
