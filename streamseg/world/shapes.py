"""What the things of the world look like: one vector drawing for each shape, fitted into the unit square.

A drawing is a list of parts, each an outline and a role; nothing here knows a colour or a size in pixels. How parts are
drawn stands in `drawings/outlines.py`, the drawings themselves beside it, by kind.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from ..errors import ConfigError
from .drawings import animals, bodies, plants, tools, vehicles
from .drawings.outlines import Drawing, Part, Role

__all__ = ["DRAWINGS", "EXTENT", "Drawing", "Part", "Role", "drawing"]

EXTENT = 0.9  # how much of the unit square the longer side of a drawing spans

ARTISTS: tuple[Callable[[], Drawing], ...] = (
    vehicles.car,
    vehicles.bus,
    vehicles.truck,
    vehicles.bicycle,
    vehicles.airplane,
    vehicles.sailboat,
    vehicles.train,
    vehicles.rocket,
    animals.fish,
    animals.bird,
    animals.cat,
    animals.rabbit,
    animals.elephant,
    animals.turtle,
    animals.butterfly,
    animals.snail,
    plants.tree,
    plants.flower,
    plants.cactus,
    plants.mushroom,
    tools.hammer,
    tools.scissors,
    tools.key,
    tools.umbrella,
    tools.cup,
    tools.bottle,
    tools.guitar,
    tools.chair,
    bodies.ball,
    bodies.cube,
    bodies.pyramid,
    bodies.star,
    bodies.heart,
    bodies.ring,
)


def drawing(name: str) -> Drawing:
    """The drawing of a shape, by the first of its names.

    Raises:
        ConfigError: no such shape.
    """
    if name not in DRAWINGS:
        raise ConfigError(f"no drawing of {name!r}: the shapes are {', '.join(DRAWINGS)}")
    return DRAWINGS[name]


def fitted(parts: Drawing) -> Drawing:
    """The drawing in the unit square: centred, its longer side spanning `EXTENT`."""
    points = np.concatenate([part.outline for part in parts])
    low, high = points.min(0), points.max(0)
    scale = EXTENT / (high - low).max()
    center = (low + high) / 2
    return tuple(Part(((part.outline - center) * scale + 0.5).astype(np.float32), part.role) for part in parts)


DRAWINGS: Mapping[str, Drawing] = MappingProxyType({artist.__name__: fitted(artist()) for artist in ARTISTS})
