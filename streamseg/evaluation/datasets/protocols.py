"""What the published evaluation does on each data set: words, input size, metrics, and how each is averaged.

From the evaluation configurations and data set registrations of FC-CLIP's repository; prompt templates and the weights
of the two classifiers (alpha 0.4 for seen words, beta 0.8 for others) belong to the model and are the same everywhere.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from ...errors import ConfigError
from ...vocabulary import Category, Vocabulary
from . import panoptic_layouts, semantic_layouts
from .samples import Samples

__all__ = ["PROTOCOLS", "Protocol", "get_protocol"]

Layout = Callable[[Path, Vocabulary, Collection[str]], Samples]


@dataclass(frozen=True, slots=True)
class Protocol:
    """How one data set is evaluated.

    Attributes:
        name: of the data set, as users say it.
        vocabulary: of the package; empty where the data set's own document lists the words.
        layout: finds its pictures; None for VIPSeg's, which brings its words.
        metrics: what is published for it: "pq", "ap", "miou"; video has "pq", "vpq", "stq", "miou".
        short_side, max_long_side: of the network's input, in pixels.
        upsample: what is brought to the size of the picture for the semantic map: "masks" before they are weighed by
            class, or the "scores" of classes afterwards, as where nothing but semantic maps is asked for.
        precision: whose average precision: COCO's, or that of Cityscapes' own script.
        classes: which ones enter mean IoU: those of the "truth" (Detectron2), or also those only "predicted"
            (Cityscapes' script). They differ on parts of a split alone.
        without_background: the vocabulary's first category is left out (PASCAL VOC of 20 classes).
    """

    name: str
    vocabulary: str
    layout: Layout | None
    metrics: tuple[str, ...]
    short_side: int = 800
    max_long_side: int = 1333
    upsample: Literal["masks", "scores"] = "masks"
    precision: Literal["coco", "cityscapes"] = "coco"
    classes: Literal["truth", "predicted"] = "truth"
    without_background: bool = False

    @property
    def video(self) -> bool:
        """Frames belong together and are tracked."""
        return "vpq" in self.metrics

    def find(self, root: Path, metrics: Collection[str]) -> tuple[Samples, Vocabulary]:
        """The pictures, and the words that they are asked for.

        Raises:
            EvaluationError: something is missing or not as it should be.
        """
        if self.layout is None:
            samples = panoptic_layouts.vipseg(root)
            return samples, _listed_words(self.name, samples)
        vocabulary = Vocabulary.load(self.vocabulary)
        if self.without_background:
            vocabulary = Vocabulary(self.name, vocabulary.categories[1:])
        return self.layout(root, vocabulary, metrics), vocabulary


def get_protocol(name: str) -> Protocol:
    """One of `PROTOCOLS`.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in PROTOCOLS:
        near = get_close_matches(name, list(PROTOCOLS), n=1, cutoff=0.4)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ConfigError(f"unknown data set {name!r}{hint}, expected one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def _listed_words(name: str, samples: Samples) -> Vocabulary:
    listed = samples.labels or {}
    return Vocabulary(name, tuple(Category(key, _names(label), isthing) for key, (label, isthing) in listed.items()))


def _names(name: str) -> tuple[str, ...]:
    """Names become words: `well_or_well_lid` reads "well", with the synonym "well lid"."""
    words = " ".join(name.replace("_", " ").split())
    return tuple(dict.fromkeys(words.split(" or ")))


def _semantic(name: str, vocabulary: str, layout: Layout, *, without_background: bool = False) -> Protocol:
    return Protocol(name, vocabulary, layout, ("miou",), upsample="scores", without_background=without_background)


ALL = ("pq", "ap", "miou")

PROTOCOLS: Mapping[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol("ade20k", "ade20k", panoptic_layouts.ade20k, ALL),
        Protocol("coco", "coco", panoptic_layouts.coco, ALL),
        Protocol(
            "cityscapes",
            "cityscapes",
            panoptic_layouts.cityscapes,
            ALL,
            short_side=1024,
            max_long_side=2560,
            precision="cityscapes",
            classes="predicted",
        ),
        Protocol(
            "mapillary", "mapillary", panoptic_layouts.mapillary, ("pq", "miou"), short_side=1024, max_long_side=2560
        ),
        _semantic("ade20k-full", "ade20k-847", semantic_layouts.ade20k_full),
        _semantic("pascal-context-59", "pascal-context-59", semantic_layouts.pascal_context_59),
        _semantic("pascal-context-459", "pascal-context-459", semantic_layouts.pascal_context_459),
        _semantic("pascal-voc-21", "pascal-voc-21", semantic_layouts.pascal_voc_21),
        _semantic("pascal-voc-20", "pascal-voc-21", semantic_layouts.pascal_voc_20, without_background=True),
        _semantic("coco-stuff", "coco-stuff", semantic_layouts.coco_stuff),
        Protocol("vipseg", "", None, ("pq", "vpq", "stq", "miou")),
    )
}
