"""Options that several commands share, and what they mean together."""

from typing import TYPE_CHECKING, Annotated

import typer

from ..vocabulary import TRAINING_VOCABULARY
from .values import fraction, one_of, whole_number

if TYPE_CHECKING:
    from ..fcclip.spec import ModelSpec

__all__ = [
    "WORLD",
    "BackgroundOption",
    "ClassesOption",
    "ClipOption",
    "DeviceOption",
    "JsonOption",
    "MaxLongSideOption",
    "ModelOption",
    "PrecisionOption",
    "QuietOption",
    "ShortSideOption",
    "ThresholdOption",
    "VocabularyOption",
    "WeightsOption",
    "chosen_spec",
]

BACKGROUNDS = ("auto", "none")
WORLD = "world"  # the demo models' default vocabulary

ClassesOption = Annotated[
    str | None,
    typer.Option(
        help="What to look for, in your own words: ';' between categories, ',' before synonyms, ':stuff' or ':thing' "
        "at the end of a category if need be.",
        metavar='"CAR; PERSON; SKY:STUFF"',
    ),
]
BackgroundOption = Annotated[
    str | None,
    typer.Option(
        help=f"Words that compete with yours and become void: 'auto' adds those of {TRAINING_VOCABULARY} ({WORLD} for "
        "demo) to --classes and to files without a background of their own; 'none' adds nothing, so that your words "
        "share every pixel. Default: auto.",
        metavar="auto|none",
        parser=one_of("--background", BACKGROUNDS),
    ),
]
VocabularyOption = Annotated[
    str | None,
    typer.Option(
        help=f"A built-in vocabulary, a union such as coco+lvis, or a file. Without it, and without --classes: "
        f"{TRAINING_VOCABULARY}, or {WORLD} for demo.",
        metavar="NAME|FILE",
    ),
]
ModelOption = Annotated[str | None, typer.Option(help="See `streamseg models`.", metavar="NAME")]
WeightsOption = Annotated[str | None, typer.Option(help="The model's weights (.pth or .safetensors).", metavar="FILE")]
ClipOption = Annotated[str | None, typer.Option(help="The CLIP's weights, for --weights without them.", metavar="FILE")]
DeviceOption = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...", metavar="NAME")]
PrecisionOption = Annotated[str | None, typer.Option(help="auto, fp32, bf16 or fp16.", metavar="NAME")]
ShortSideOption = Annotated[
    int | None,
    typer.Option(help="Size at which the model sees a picture.", metavar="PIXELS", parser=whole_number("--short-side")),
]
MaxLongSideOption = Annotated[
    int | None,
    typer.Option(help="Limit to the other side.", metavar="PIXELS", parser=whole_number("--max-long-side")),
]
ThresholdOption = Annotated[
    float | None,
    typer.Option(help="Leave out what scores less.", metavar="0..1", parser=fraction("--threshold")),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]


def chosen_spec(model: str | None) -> "ModelSpec":
    from ..fcclip.spec import DEFAULT_MODEL, get_spec

    return get_spec(DEFAULT_MODEL if model is None else model)
