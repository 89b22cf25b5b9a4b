"""Tiny data sets in every official layout: two striped pictures each, written by these functions.

The truth of a picture is a `Painting`. Pictures show the ids of their regions as grey, so that a perfect predictor can
read off which painting it is shown; whatever the layout, it then knows what is right.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pycocotools.mask as mask_tools
import torch
from PIL import Image

from streamseg.evaluation.datasets.predictions import Predictor
from streamseg.panoptic import Instances, PanopticMap, PanopticSegment
from streamseg.sinks.files import encode_panoptic_png
from streamseg.vocabulary import Vocabulary

SIZE_HW = (48, 64)
GREY = 40  # of one id: JPEG is off by one or two

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Region:
    """A stripe: its id, its category's place in the vocabulary, its height in pixels."""

    id: int
    place: int
    height: int
    crowd: bool = False


@dataclass(frozen=True)
class Painting:
    """A picture of stripes from the top; what is left is void."""

    name: str
    regions: tuple[Region, ...]

    @property
    def ids(self) -> npt.NDArray[np.int32]:
        lines = [region.id for region in self.regions for _ in range(region.height)]
        lines += [0] * (SIZE_HW[0] - len(lines))
        return np.repeat(np.array(lines, np.int32)[:, None], SIZE_HW[1], axis=1)

    def mapped(self, values: Mapping[int, int], nothing: int) -> npt.NDArray[np.int32]:
        """(H, W): the value of each region's id, or of nothing."""
        return np.vectorize(lambda id_: values.get(int(id_), nothing), otypes=[np.int32])(self.ids)

    def places(self, nothing: int) -> npt.NDArray[np.int32]:
        return self.mapped({region.id: region.place for region in self.regions}, nothing)

    def seen_as(self, places: Mapping[int, int]) -> "Painting":
        """The same stripes, some of them with another category."""
        return replace(
            self, regions=tuple(replace(region, place=places.get(region.id, region.place)) for region in self.regions)
        )


class PaintedPrediction:
    """What a predictor that sees this painting says."""

    def __init__(self, painting: Painting, vocabulary: Vocabulary) -> None:
        self.painting, self.categories = painting, vocabulary.categories

    def panoptic(self) -> PanopticMap:
        ids = self.painting.mapped({region.id: region.id for region in self.painting.regions if not region.crowd}, 0)
        segments = []
        for region in self.painting.regions:
            if not region.crowd:
                category = self.categories[region.place]
                area = int((ids == region.id).sum())
                segments.append(
                    PanopticSegment(region.id, category.id, category.label, category.isthing, 0.9, area, len(segments))
                )
        return PanopticMap(ids, tuple(segments))

    def classes(self) -> npt.NDArray[np.int64]:
        return self.painting.places(nothing=0).astype(np.int64)

    def instances(self) -> Instances:
        things = [r for r in self.painting.regions if self.categories[r.place].isthing and not r.crowd]
        masks = np.array([self.painting.ids == region.id for region in things], bool).reshape(-1, *SIZE_HW)
        return Instances(
            torch.linspace(0.9, 0.5, len(things)),
            torch.tensor([region.place for region in things], dtype=torch.int64),
            torch.from_numpy(masks),
            torch.zeros(len(things), 4),
        )


def sees(truth: Sequence[Painting], vocabulary: Vocabulary, said: Sequence[Painting] | None = None) -> Predictor:
    """A predictor that recognises a painting, and says what stands in its place in `said`: the truth, if left out."""

    def predict(picture: npt.NDArray[np.uint8]) -> PaintedPrediction:
        ids = np.round(picture[..., 0] / GREY).astype(int)
        (index,) = [number for number, painting in enumerate(truth) if np.array_equal(painting.ids, ids)]
        return PaintedPrediction((said or truth)[index], vocabulary)

    return predict


def write_picture(path: Path, painting: Painting) -> None:
    grey = (painting.ids * GREY).astype(np.uint8)
    save(path, np.repeat(grey[..., None], 3, axis=2))


def save(path: Path, pixels: Array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=100)


def write_json(path: Path, document: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def segments_info(painting: Painting, vocabulary: Vocabulary) -> list[dict[str, Any]]:
    return [
        {
            "id": region.id,
            "category_id": vocabulary.categories[region.place].id,
            "area": region.height * SIZE_HW[1],
            "iscrowd": int(region.crowd),
        }
        for region in painting.regions
    ]


def write_panoptic(
    document: Path,
    masks: Path,
    paintings: Sequence[Painting],
    vocabulary: Vocabulary,
    image_ids: Sequence[int | str],
    *,
    suffix: str = "",
) -> None:
    """COCO's panoptic format: one document, a PNG for each picture."""
    masks.mkdir(parents=True, exist_ok=True)
    annotations = []
    for painting, image_id in zip(paintings, image_ids, strict=True):
        name = f"{painting.name}{suffix}.png"
        (masks / name).write_bytes(encode_panoptic_png(painting.ids))
        info = segments_info(painting, vocabulary)
        annotations.append({"image_id": image_id, "file_name": name, "segments_info": info})
    write_json(document, {"images": [], "annotations": annotations, "categories": listed(vocabulary)})


def listed(vocabulary: Vocabulary) -> list[dict[str, Any]]:
    return [{"id": c.id, "name": c.label, "isthing": int(c.isthing)} for c in vocabulary.categories]


def write_instances(
    document: Path, paintings: Sequence[Painting], vocabulary: Vocabulary, image_ids: Sequence[int | str]
) -> None:
    """COCO's format of instances: polygons, packed run lengths for every second, plain ones for crowds."""
    annotations: list[dict[str, Any]] = []
    for painting, image_id in zip(paintings, image_ids, strict=True):
        for region in painting.regions:
            category = vocabulary.categories[region.place]
            if category.isthing:
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image_id,
                        "category_id": category.id,
                        "iscrowd": int(region.crowd),
                        "area": region.height * SIZE_HW[1],
                        "segmentation": outline(painting, region, in_runs=len(annotations) % 2 == 1),
                    }
                )
    images = [{"id": image_id, "height": SIZE_HW[0], "width": SIZE_HW[1]} for image_id in image_ids]
    write_json(document, {"images": images, "annotations": annotations, "categories": listed(vocabulary)})


def outline(painting: Painting, region: Region, *, in_runs: bool) -> Any:
    """A stripe as COCO's documents may write it."""
    mask = painting.ids == region.id
    top = int(np.flatnonzero(mask[:, 0])[0])
    if region.crowd:
        below = SIZE_HW[0] - top - region.height
        counts = [top, region.height, *[below + top, region.height] * (SIZE_HW[1] - 1), below]
        return {"size": list(SIZE_HW), "counts": counts}
    if in_runs:
        encoded = mask_tools.encode(np.asfortranarray(mask.astype(np.uint8)))
        return {"size": encoded["size"], "counts": encoded["counts"].decode()}
    bottom = top + region.height
    return [[0, top, SIZE_HW[1], top, SIZE_HW[1], bottom, 0, bottom]]


# The layouts. Two pictures each: the first has two things of one category and stuff, the second a crowd and void.


def paintings(vocabulary: Vocabulary, names: tuple[str, str], *, with_things: bool = True) -> list[Painting]:
    """Things are places among the vocabulary's things, where it has any that are told apart."""
    things = [place for place, category in enumerate(vocabulary.categories) if category.isthing]
    stuff = [place for place, category in enumerate(vocabulary.categories) if not category.isthing]
    if not with_things or not things or not stuff:
        things = stuff = list(range(len(vocabulary)))
    first = (Region(1, things[0], 12), Region(2, things[0], 12), Region(3, stuff[1], 24))
    second = (Region(1, things[1], 16), Region(2, things[0], 8, crowd=with_things), Region(3, stuff[2], 16))
    return [Painting(names[0], first), Painting(names[1], second)]


def write_ade20k(root: Path, *, prepared: bool = True) -> list[Painting]:
    vocabulary = Vocabulary.load("ade20k")
    made = paintings(vocabulary, ("ADE_val_00000001", "ADE_val_00000002"))
    home = root / "ADEChallengeData2016"
    names = [painting.name for painting in made]
    for painting in made:
        write_picture(home / f"images/validation/{painting.name}.jpg", painting)
        if prepared:
            labels = painting.places(255).astype(np.uint8)
            save(home / f"annotations_detectron2/validation/{painting.name}.png", labels)
        else:
            labels = (painting.places(-1) + 1).astype(np.uint8)
            save(home / f"annotations/validation/{painting.name}.png", labels)
    write_panoptic(home / "ade20k_panoptic_val.json", home / "ade20k_panoptic_val", made, vocabulary, names)
    write_instances(home / "ade20k_instance_val.json", made, vocabulary, names)
    return made


def write_coco(root: Path) -> list[Painting]:
    vocabulary = Vocabulary.load("coco")
    made = paintings(vocabulary, ("000000000139", "000000000285"))
    home = root / "coco"
    for painting in made:
        write_picture(home / f"val2017/{painting.name}.jpg", painting)
    ids = [139, 285]
    annotations = home / "annotations"
    write_panoptic(annotations / "panoptic_val2017.json", home / "panoptic_val2017", made, vocabulary, ids)
    write_instances(annotations / "instances_val2017.json", made, vocabulary, ids)
    return made


def write_coco_stuff(root: Path) -> list[Painting]:
    vocabulary = Vocabulary.load("coco-stuff")
    made = paintings(vocabulary, ("000000000139", "000000000285"))
    for painting in made:
        write_picture(root / f"coco/val2017/{painting.name}.jpg", painting)
        values = {region.id: vocabulary.categories[region.place].id - 1 for region in painting.regions}
        labels = painting.mapped(values, 255).astype(np.uint8)
        save(root / f"coco/stuffthingmaps/val2017/{painting.name}.png", labels)
    return made


def write_cityscapes(root: Path) -> list[Painting]:
    """A crowd is a group: its instance id is its label."""
    vocabulary = Vocabulary.load("cityscapes")
    made = paintings(vocabulary, ("frankfurt_000000_000294", "munster_000001_000019"))
    home = root / "cityscapes"
    for painting in made:
        city = painting.name.split("_")[0]
        picture = home / f"leftImg8bit/val/{city}/{painting.name}_leftImg8bit.png"
        write_picture(picture, painting)
        labels = {region.id: vocabulary.categories[region.place].id for region in painting.regions}
        instances = {
            region.id: labels[region.id] * 1000 + number
            if vocabulary.categories[region.place].isthing and not region.crowd
            else labels[region.id]
            for number, region in enumerate(painting.regions)
        }
        stem = home / f"gtFine/val/{city}/{painting.name}_gtFine"
        save(Path(f"{stem}_labelIds.png"), painting.mapped(labels, 0).astype(np.uint8))
        save(Path(f"{stem}_instanceIds.png"), painting.mapped(instances, 0).astype(np.uint16))
    masks = home / "gtFine/cityscapes_panoptic_val"
    names = [painting.name for painting in made]
    write_panoptic(Path(f"{masks}.json"), masks, made, vocabulary, names, suffix="_gtFine_panoptic")
    return made


def write_mapillary(root: Path) -> list[Painting]:
    vocabulary = Vocabulary.load("mapillary")
    made = paintings(vocabulary, ("_1Gn_xkw7sa_i9GU4mkxxQ", "__CRyFzoDOXn6unQ6a3DnQ"))
    home = root / "mapillary_vistas/validation"
    for painting in made:
        write_picture(home / f"images/{painting.name}.jpg", painting)
        labels = Image.fromarray(painting.places(65).astype(np.uint8), "P")
        labels.putpalette([value % 256 for value in range(768)])
        (home / "labels").mkdir(parents=True, exist_ok=True)
        labels.save(home / f"labels/{painting.name}.png")
    names = [painting.name for painting in made]
    write_panoptic(home / "panoptic/panoptic_2018.json", home / "panoptic", made, vocabulary, names)
    return made


def write_ade20k_full(root: Path) -> list[Painting]:
    return _semantic(
        root / "ADE20K_2021_17_01",
        "ade20k-847",
        "images_detectron2/validation",
        "annotations_detectron2/validation",
        16,
    )


def write_context_59(root: Path) -> list[Painting]:
    home = root / "pascal_ctx_d2"
    return _semantic(home, "pascal-context-59", "images/validation", "annotations_ctx59/validation", 8)


def write_context_459(root: Path) -> list[Painting]:
    home = root / "pascal_ctx_d2"
    return _semantic(home, "pascal-context-459", "images/validation", "annotations_ctx459/validation", 16)


def _semantic(home: Path, words: str, pictures: str, annotations: str, bits: int) -> list[Painting]:
    made = paintings(Vocabulary.load(words), ("a", "b"), with_things=False)
    for painting in made:
        write_picture(home / pictures / f"{painting.name}.jpg", painting)
        labels = painting.places(2**bits - 1).astype(np.uint8 if bits == 8 else np.uint16)
        save(home / annotations / f"{painting.name}.{'png' if bits == 8 else 'tif'}", labels)
    return made


def write_voc(root: Path, *, prepared: bool) -> list[Painting]:
    """Places are those among all 21 classes, 0 being background."""
    made = paintings(Vocabulary.load("pascal-voc-21"), ("2007_000033", "2007_000042"), with_things=False)
    raw, home = root / "VOCdevkit/VOC2012", root / "pascal_voc_d2"
    for painting in made:
        labels = painting.places(255).astype(np.uint8)
        if not prepared:
            write_picture(raw / f"JPEGImages/{painting.name}.jpg", painting)
            save(raw / f"SegmentationClass/{painting.name}.png", labels)
            continue
        write_picture(home / f"images/validation/{painting.name}.jpg", painting)
        save(home / f"annotations_pascal21/validation/{painting.name}.png", labels)
        without = np.where((labels == 0) | (labels == 255), 255, labels - 1).astype(np.uint8)
        save(home / f"annotations_pascal20/validation/{painting.name}.png", without)
    if not prepared:
        split = raw / "ImageSets/Segmentation/val.txt"
        split.parent.mkdir(parents=True)
        split.write_text("".join(f"{painting.name}\n" for painting in made))
    return made


VIPSEG = Vocabulary.from_dict(
    {
        "name": "vipseg",
        "categories": [
            {"id": 0, "names": ["wall"], "isthing": False},
            {"id": 2, "names": ["well", "well lid"], "isthing": False},
            {"id": 5, "names": ["car"], "isthing": True},
            {"id": 9, "names": ["person"], "isthing": True},
        ],
    }
)


def write_vipseg(root: Path, videos: Sequence[str] = ("0_one", "1_two")) -> list[Painting]:
    """Each video is both pictures in turn, eight frames, as long as the longest window; ids hold over all of them."""
    made = [
        Painting("odd", (Region(1, 2, 12), Region(2, 3, 12), Region(3, 0, 24))),
        Painting("even", (Region(1, 2, 10), Region(2, 3, 14), Region(3, 0, 20))),
    ]
    home = root / "VIPSeg_720P"
    annotations = []
    for video in videos:
        frames = []
        for number in range(8):
            painting, name = made[number % 2], f"{5 * number:08}"
            write_picture(home / f"images/{video}/{name}.jpg", painting)
            png = home / f"panomasksRGB/{video}/{name}.png"
            png.parent.mkdir(parents=True, exist_ok=True)
            png.write_bytes(encode_panoptic_png(painting.ids))
            info = segments_info(painting, VIPSEG)
            frames.append({"image_id": name, "file_name": f"{name}.jpg", "segments_info": info})
        annotations.append({"video_id": video, "annotations": frames})
    categories = [entry | {"name": entry["name"].replace("well", "well_or_well_lid")} for entry in listed(VIPSEG)]
    document = {"videos": [], "annotations": annotations, "categories": categories}
    write_json(home / "panoptic_gt_VIPSeg_val.json", document)
    return made
