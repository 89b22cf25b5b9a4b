"""What there is: models, weights, vocabularies, the schema of a record."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ..pipeline.words import choose_vocabulary
from ..vocabulary import BUILTIN_VOCABULARIES, Vocabulary, seen_mask
from .app import app
from .options import (
    BackgroundOption,
    ClassesOption,
    JsonOption,
    ModelOption,
    QuietOption,
    chosen_spec,
)
from .text import new_table, print_table

# Millions, the CLIP with its text side included; a test counts them.
PARAMETERS_MILLIONS = {
    "fcclip-convnext-large": 372,
    "fcclip-convnext-base": 200,
    "fcclip-convnext-xxlarge": 1222,
    "fcclip-r50": 123,
    "fcclip-r101": 141,
    "fcclip-r50x4": 199,
    "fcclip-r50x16": 312,
    "fcclip-r50x64": 645,
    "demo": 14,
    "demo-untrained": 14,
}


@app.command()
def models(as_json: JsonOption = False) -> None:
    """List the models, and which weights are here."""
    from ..fcclip.hub import weights_status
    from ..fcclip.spec import DEFAULT_MODEL, MODEL_SPECS

    rows = [_model_row(spec, weights_status(spec)) for spec in MODEL_SPECS.values()]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = new_table("model", "CLIP", "input", "parameters", "weights")
    for row in rows:
        name = f"{row['model']} (default)" if row["model"] == DEFAULT_MODEL else row["model"]
        size = f"{row['parameters_millions']} M" if row["parameters_millions"] else "-"
        table.add_row(
            name, row["clip"], f"{row['short_side']}, at most {row['max_long_side']}", size, _weights_text(row)
        )
    print_table(table)


@app.command()
def download(
    model: Annotated[str, typer.Argument(help="See `streamseg models`.", metavar="MODEL", show_default=False)],
    quiet: QuietOption = False,
) -> None:
    """Fetch the weights of a model, ahead of time."""
    from ..fcclip.hub import download as fetch
    from ..fcclip.hub import weights_status
    from ..fcclip.spec import get_spec

    spec = get_spec(model)
    if weights_status(spec).shipped and not quiet:
        print(f"{model} is part of the package: there is nothing to download", file=sys.stderr)
    for path in fetch(spec, progress=not quiet):
        print(path)


@app.command()
def vocabulary(
    name: Annotated[
        str | None,
        typer.Argument(help="A built-in vocabulary, a union such as coco+lvis, or a file.", metavar="NAME|FILE"),
    ] = None,
    classes: ClassesOption = None,
    background: BackgroundOption = None,
    model: ModelOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a vocabulary as it will be used; without arguments, list those built in."""
    if name is None and classes is None:
        _list_vocabularies(as_json)
        return
    spec = chosen_spec(model)
    words = choose_vocabulary(classes, name, background, default=spec.default_vocabulary)
    if as_json:
        print(words.to_json())
        return
    seen = seen_mask(words.all_categories, Vocabulary.load(spec.training_vocabulary))
    table = new_table("id", "label", "kind", "seen in training", "synonyms")
    for category, known in zip(words.all_categories[: len(words)], seen, strict=False):
        kind = "thing" if category.isthing else "stuff"
        table.add_row(str(category.id), category.label, kind, "yes" if known else "no", ", ".join(category.names[1:]))
    print_table(table)
    if words.background:
        labels = ", ".join(category.label for category in words.background)
        print(f"\nbackground, becomes void ({len(words.background)}): {labels}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a frame record."""
    from ..frames import json_schema

    print(json.dumps(json_schema(), indent=2))


def _model_row(spec: Any, status: Any) -> dict[str, Any]:
    return {
        "model": spec.name,
        "clip": spec.clip_model,
        "short_side": spec.short_side,
        "max_long_side": spec.max_long_side,
        "parameters_millions": PARAMETERS_MILLIONS.get(spec.name),
        "random_weights": spec.random_weights,
        "ready": status.ready or spec.random_weights,
        "shipped": status.shipped,
        "weights": None if status.head is None else str(status.head),
        "weights_bytes": status.head_bytes,
        "clip_weights": None if status.clip is None else str(status.clip),
        "clip_weights_bytes": status.clip_bytes,
        "published": status.source,
    }


def _weights_text(row: dict[str, Any]) -> str:
    if row["random_weights"]:
        return "random, for trying the machinery"
    if row["shipped"]:
        return f"part of the package, {row['weights_bytes'] / 1e6:.0f} MB"
    if row["ready"]:
        size = row["weights_bytes"] + (row["clip_weights_bytes"] if row["clip_weights"] != row["weights"] else 0)
        return f"here, {size / 1e9:.1f} GB: {Path(row['weights']).parent}"
    here = [name for name, key in (("head", "weights"), ("CLIP", "clip_weights")) if row[key] is not None]
    return f"{f'only the {here[0]} is here' if here else 'not here'}; {row['published']}"


def _list_vocabularies(as_json: bool) -> None:
    rows = [(name, vocabulary, sum(c.isthing for c in vocabulary.categories)) for name, vocabulary in _builtins()]
    if as_json:
        print(
            json.dumps(
                [{"name": name, "things": things, "stuff": len(v) - things} for name, v, things in rows], indent=2
            )
        )
        return
    table = new_table("vocabulary", "things", "stuff", "for example")
    for name, words, things in rows:
        table.add_row(name, str(things), str(len(words) - things), ", ".join(c.label for c in words.categories[:4]))
    print_table(table)


def _builtins() -> Iterator[tuple[str, Vocabulary]]:
    return ((name, Vocabulary.load(name)) for name in BUILTIN_VOCABULARIES)
