"""Small annotated data sets on disk, in the two layouts that training reads."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

PERSON, CAR, SKY = 1, 3, 187  # category ids of COCO; the last one is stuff


def segment(number: int, category: int, **more: Any) -> dict[str, Any]:
    return {"id": number, "category_id": category, "iscrowd": 0, **more}


@dataclass
class Scene:
    """A sky of id 300 with a person of id 70000 in its lower left quarter, and a frame of void."""

    size_hw: tuple[int, int] = (40, 60)
    seed: int = 0
    segments: list[dict[str, Any]] = field(default_factory=lambda: [segment(300, SKY), segment(70000, PERSON)])

    def ids(self) -> npt.NDArray[np.int32]:
        height, width = self.size_hw
        ids = np.zeros(self.size_hw, np.int32)
        ids[2:-2, 2:-2] = 300
        ids[height // 2 : -2, 2 : width // 2] = 70000
        return ids

    def picture(self) -> npt.NDArray[np.uint8]:
        return np.random.default_rng(self.seed).integers(0, 256, (*self.size_hw, 3), dtype=np.uint8)


def save_ids(path: Path, ids: npt.NDArray[np.int32]) -> None:
    Image.fromarray(np.stack((ids & 255, ids >> 8 & 255, ids >> 16), axis=2).astype(np.uint8)).save(path)


def write_coco(root: Path, scenes: list[Scene]) -> dict[str, Path]:
    """The arguments of `CocoPanoptic` for these scenes; picture `n` is `pictures/n.png`, its mask `masks/n.png`."""
    folders = {"images": root / "pictures", "masks": root / "masks", "annotations": root / "panoptic.json"}
    folders["images"].mkdir(parents=True)
    folders["masks"].mkdir()
    document: dict[str, list[Any]] = {"images": [], "annotations": []}
    for number, scene in enumerate(scenes):
        Image.fromarray(scene.picture()).save(folders["images"] / f"{number}.png")
        save_ids(folders["masks"] / f"{number}.png", scene.ids())
        document["images"].append({"id": 1000 + number, "file_name": f"{number}.png"})
        document["annotations"].append(
            {"image_id": 1000 + number, "file_name": f"{number}.png", "segments_info": scene.segments}
        )
    folders["annotations"].write_text(json.dumps(document))
    return folders


def edit_json(path: Path, keys: tuple[Any, ...], value: Any) -> None:
    """Set the value that `keys` lead to; None removes it."""
    document = json.loads(path.read_text())
    *way, last = keys
    place = document
    for key in way:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    path.write_text(json.dumps(document))
