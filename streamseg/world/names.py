"""What there is in the world, and what it is called.

Everything has a compositional name: colour, pattern, shape ("red striped car"). Some shapes, and some pairs of shape
and colour, are kept out of the mask generator's training, so that open-vocabulary recognition can be measured; some of
those are kept out of the CLIP's pre-training too, as in life, where a CLIP has read about most things, not about all.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Literal

from ..errors import ConfigError
from ..vocabulary import Category, Vocabulary

__all__ = [
    "COLORS",
    "PATTERNS",
    "SHAPES",
    "STUFF",
    "Composition",
    "Named",
    "Pool",
    "compositions",
    "exposure",
    "pair_exposure",
    "pool",
    "shape_exposure",
    "training_vocabularies",
    "world_vocabulary",
]

Exposure = Literal["seen", "clip-only", "never"]
Pool = Literal["all", "seen", "clip", "unseen", "unseen-shapes"]


@dataclass(frozen=True, slots=True)
class Named:
    """A word of the world with its synonyms; the first is the one shown."""

    name: str
    synonyms: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.synonyms)


@dataclass(frozen=True, slots=True)
class Composition:
    """One kind of thing: what it is, its colour and its pattern, each by name."""

    shape: str
    color: str
    pattern: str

    @property
    def text(self) -> str:
        """The full name; a plain pattern goes without saying."""
        pattern = "" if self.pattern == "plain" else f"{self.pattern} "
        return f"{self.color} {pattern}{self.shape}"


SHAPES: tuple[Named, ...] = (
    # vehicles
    Named("car", ("automobile",)),
    Named("bus", ("coach",)),
    Named("truck", ("lorry",)),
    Named("bicycle", ("bike",)),
    Named("airplane", ("plane", "aircraft")),
    Named("sailboat", ("sailing boat",)),
    Named("train", ("locomotive",)),
    Named("rocket", ("spaceship",)),
    # animals
    Named("fish"),
    Named("bird"),
    Named("cat", ("kitten",)),
    Named("rabbit", ("bunny",)),
    Named("elephant"),
    Named("turtle", ("tortoise",)),
    Named("butterfly"),
    Named("snail"),
    # plants
    Named("tree"),
    Named("flower", ("blossom",)),
    Named("cactus"),
    Named("mushroom", ("toadstool",)),
    # tools and household
    Named("hammer"),
    Named("scissors"),
    Named("key"),
    Named("umbrella", ("parasol",)),
    Named("cup", ("mug",)),
    Named("bottle"),
    Named("guitar"),
    Named("chair", ("stool",)),
    # bodies
    Named("ball", ("sphere",)),
    Named("cube", ("box",)),
    Named("pyramid"),
    Named("star"),
    Named("heart"),
    Named("ring", ("hoop",)),
)

COLORS: tuple[Named, ...] = (
    Named("red"),
    Named("orange"),
    Named("yellow"),
    Named("green"),
    Named("cyan", ("turquoise",)),
    Named("blue"),
    Named("purple", ("violet",)),
    Named("pink"),
    Named("brown"),
    Named("black"),
    Named("gray", ("grey",)),
    Named("white"),
)

PATTERNS: tuple[Named, ...] = (
    Named("plain"),
    Named("striped"),
    Named("dotted", ("spotted",)),
    Named("checked", ("checkered",)),
)

STUFF: tuple[Named, ...] = (
    Named("sky"),
    Named("grass", ("lawn",)),
    Named("water", ("sea",)),
    Named("sand", ("beach",)),
    Named("brick wall", ("bricks",)),
    Named("road", ("asphalt",)),
    Named("snow"),
    Named("wooden floor", ("wood", "planks")),
    Named("gravel", ("pebbles",)),
    Named("hills", ("mountains",)),
    Named("tiled floor", ("tiles",)),
    Named("soil", ("earth",)),
)

# Shapes that the mask generator never meets in training, and whether the CLIP does.
UNSEEN_SHAPES: dict[str, Exposure] = {
    "rocket": "clip-only",
    "rabbit": "clip-only",
    "key": "clip-only",
    "pyramid": "clip-only",
    "guitar": "never",
}


@cache
def compositions() -> tuple[Composition, ...]:
    """Every thing there can be, in a fixed order."""
    return tuple(
        Composition(shape.name, color.name, pattern.name) for shape, color, pattern in product(SHAPES, COLORS, PATTERNS)
    )


def shape_exposure(shape: str) -> Exposure:
    """Who meets a shape in training, in whatever colour: everyone, the CLIP alone, or no one."""
    return UNSEEN_SHAPES.get(shape, "seen")


@cache
def exposure(composition: Composition) -> Exposure:
    """Who meets a composition in training.

    Pairs of shape and colour are held out along diagonals: every shape misses some colours, every colour some shapes,
    and 'red car' is then unseen in every pattern. A few further compositions are held out on their own.
    """
    if composition.shape in UNSEEN_SHAPES:
        return UNSEEN_SHAPES[composition.shape]
    shape, color = _position(SHAPES, composition.shape), _position(COLORS, composition.color)
    pattern = _position(PATTERNS, composition.pattern)
    diagonal = (3 * shape + color) % 10
    if diagonal in (0, 5):
        return "never" if diagonal == 0 else "clip-only"
    if (5 * shape + 3 * color + 7 * pattern) % 29 == 0:
        return "clip-only"
    return "seen"


def pair_exposure(shape: str, color: str) -> Exposure:
    """Who meets a shape in a colour, in at least one pattern."""
    exposures = {exposure(Composition(shape, color, pattern.name)) for pattern in PATTERNS}
    order: tuple[Exposure, ...] = ("seen", "clip-only", "never")
    return next(level for level in order if level in exposures)


@cache
def pool(name: Pool) -> tuple[Composition, ...]:
    """Compositions to draw from.

    Args:
        name: `all`; `seen`, those that the mask generator is trained on; `clip`, those that the CLIP is trained on;
            `unseen`, held-out compositions of seen shapes; `unseen-shapes`, every composition of a held-out shape.

    Raises:
        ConfigError: there is no such pool.
    """
    members: dict[str, Callable[[Composition], bool]] = {
        "all": lambda _: True,
        "seen": lambda kind: exposure(kind) == "seen",
        "clip": lambda kind: exposure(kind) != "never",
        "unseen": lambda kind: exposure(kind) != "seen" and kind.shape not in UNSEEN_SHAPES,
        "unseen-shapes": lambda kind: kind.shape in UNSEEN_SHAPES,
    }
    if name not in members:
        raise ConfigError(f"unknown pool of things {name!r}, expected one of {', '.join(members)}")
    return tuple(filter(members[name], compositions()))


@cache
def world_vocabulary(kind: Literal["shapes", "colors", "training"]) -> Vocabulary:
    """The world's words as a vocabulary, things first.

    Args:
        kind: `shapes`: every shape, with synonyms; `colors`: every colour and shape ("red car"); `training`: what the
            mask generator was trained on, shapes and pairs alike.
    """
    if kind == "shapes":
        return _vocabulary("world", (shape.names for shape in SHAPES))
    if kind == "colors":
        return _vocabulary("world-colors", (_pair_names(color, shape) for shape, color in product(SHAPES, COLORS)))
    return _vocabulary("world-training", (*_training_shapes(), *_training_pairs()))


@cache
def training_vocabularies() -> tuple[Vocabulary, Vocabulary]:
    """What the mask generator is taught in turns: shapes, and pairs of colour and shape, without those held out."""
    return _vocabulary("world-training-shapes", _training_shapes()), _vocabulary(
        "world-training-colors", _training_pairs()
    )


def _vocabulary(name: str, things: Iterable[tuple[str, ...]]) -> Vocabulary:
    entries = [(names, True) for names in things] + [(stuff.names, False) for stuff in STUFF]
    categories = tuple(
        Category(id=index, names=names, isthing=isthing) for index, (names, isthing) in enumerate(entries, start=1)
    )
    return Vocabulary(name=name, categories=categories)


def _training_shapes() -> Iterator[tuple[str, ...]]:
    return (shape.names for shape in SHAPES if shape_exposure(shape.name) == "seen")


def _training_pairs() -> Iterator[tuple[str, ...]]:
    for shape, color in product(SHAPES, COLORS):
        if pair_exposure(shape.name, color.name) == "seen":
            yield _pair_names(color, shape)


def _pair_names(color: Named, shape: Named) -> tuple[str, ...]:
    """'gray car', then the colour's synonyms with the shape's first name: all synonyms of both would be too many."""
    return tuple(f"{name} {shape.name}" for name in color.names)


def _position(named: tuple[Named, ...], name: str) -> int:
    return next(index for index, entry in enumerate(named) if entry.name == name)
