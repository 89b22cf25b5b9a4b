"""The words that pixels may be called: categories with synonyms, thing or stuff, in a fixed order.

A vocabulary is written in plain words, `"person,pedestrian; car; sky:stuff"`:

- `;` separates categories, `,` separates synonyms (the first is the label), `:stuff` or `:thing` ends a category.
- White space at the ends is dropped, and collapsed inside a name.
- Where neither is said, thing or stuff is looked up by name in the built-in vocabularies of `KNOWN_KINDS_FROM`, in that
  order and whatever the case: the label first, then the synonyms. A category that none of them knows is a thing.
- A name stands once in one list, whatever its case. Built-in vocabularies repeat some names, as published.
- No name holds `;`, `,` or `:` here. In a file, an item of a `names` list is one name, and may hold them.

A file is one YAML or JSON document:

    name: street
    version: 1
    categories:
      - {names: [car, automobile], isthing: true, id: 3}
      - "sky:stuff"
    background: ["building", "tree"]

`name` defaults to the file's name, `id` to the position in the list (from 0), `isthing` to what the built-in
vocabularies know. Background categories compete for pixels like the others, then become void.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from .errors import VocabularyError

__all__ = ["BUILTIN_VOCABULARIES", "KNOWN_KINDS_FROM", "TRAINING_VOCABULARY", "Category", "Vocabulary", "seen_mask"]

TRAINING_VOCABULARY = "coco"
"""The vocabulary that every published FC-CLIP was trained on."""

_BUILTIN_NAMES = (
    "coco",
    "ade20k",
    "cityscapes",
    "mapillary",
    "lvis",
    "coco-stuff",
    "ade20k-847",
    "pascal-voc-21",
    "pascal-context-59",
    "pascal-context-459",
    "world",
    "world-colors",
    "world-training",
)
BUILTIN_VOCABULARIES: Mapping[str, str] = MappingProxyType({name: f"{name}.json" for name in _BUILTIN_NAMES})
"""What `Vocabulary.load` knows, and the file of each in the package's `data/vocabularies`. Names and synonyms are those
of the published FC-CLIP evaluation, in its order; the last three are those of the demo model's procedural world. The
`background` category of `pascal-voc-21` is an ordinary category there (it lists what the data set leaves unlabelled),
and stays one."""

KNOWN_KINDS_FROM = ("coco", "ade20k", "cityscapes", "mapillary", "lvis", "coco-stuff")
"""Built-in vocabularies that tell things from stuff, in the order in which they are asked. The others are made for
semantic segmentation and mark all their categories alike, which says nothing about a single name."""

_FILE_SUFFIXES = (".yaml", ".yml", ".json")
_FILE_KEYS = ("name", "version", "categories", "background", "allow_duplicates")
_CATEGORY_KEYS = ("id", "names", "isthing")
_KINDS = {"thing": True, "stuff": False}


@dataclass(frozen=True, slots=True)
class Category:
    """One entry of a vocabulary.

    Attributes:
        id: `category_id` in results, at least 0; the data set's own for built-in vocabularies, else the position.
        names: the label first, then its synonyms; what the text encoder sees, letter by letter.
        isthing: countable (each instance is a segment of its own), or stuff (one segment).
    """

    id: int
    names: tuple[str, ...]
    isthing: bool

    def __post_init__(self) -> None:
        _require_int(self.id, "the id of a category", minimum=0)
        if not isinstance(self.names, tuple):
            raise VocabularyError(f"names {_show(self.names)} of a category: expected a tuple of strings, label first")
        if not self.names:
            raise VocabularyError(f"category with id {self.id} has no names: give it at least a label")
        for name in self.names:
            _require_name(name, "a category")
        if not isinstance(self.isthing, bool):
            raise VocabularyError(f"isthing of {self.label!r} is {_show(self.isthing)}: expected true or false")

    @property
    def label(self) -> str:
        """The name shown in results."""
        return self.names[0]


@dataclass(frozen=True, repr=False)
class Vocabulary:
    """Ordered categories, and optionally background categories that become void.

    Made by `parse`, `load`, `from_file`, or `resolve`, which takes any of these; the plain constructor checks types and
    ids, but not names that repeat.
    """

    name: str
    categories: tuple[Category, ...]
    background: tuple[Category, ...] = ()
    version: int = 1

    def __post_init__(self) -> None:
        _require_name(self.name, "the name of a vocabulary")
        _require_int(self.version, f"the version of vocabulary {self.name!r}", minimum=1)
        for field, value in (("categories", self.categories), ("background", self.background)):
            if not isinstance(value, tuple) or not all(isinstance(category, Category) for category in value):
                raise VocabularyError(f"{field} {_show(value)} of {self.name!r}: expected a tuple of Category")
        if not self.categories:
            raise VocabularyError(f"vocabulary {self.name!r} is empty: give at least one category, as in 'car; person'")
        owners: dict[int, str] = {}
        for category in self.categories:
            if category.id in owners:
                raise VocabularyError(
                    f"id {category.id} stands for both {owners[category.id]!r} and {category.label!r} in vocabulary "
                    f"{self.name!r}: give every category an id of its own, or leave all ids out"
                )
            owners[category.id] = category.label

    @classmethod
    def parse(cls, text: str | Sequence[str], *, name: str = "custom") -> Self:
        """The vocabulary written as one string (`;` between categories), or as strings, one for each category.

        Raises VocabularyError for an empty list or name, a name that repeats, an unknown `:suffix`, and other types.
        """
        if isinstance(text, str):
            text = text.split(";") if text.strip() else []
        if not isinstance(text, (list, tuple)):
            raise VocabularyError(
                f"classes {_show(text)}: expected a string such as 'car; person' or a list of strings"
            )
        for number, entry in enumerate(text, start=1):
            if not isinstance(entry, str):
                raise VocabularyError(f"classes: category {number} is {_show_typed(entry)}, expected a string")
        categories = _categories(text, "classes")
        _refuse_duplicates(categories, "classes")
        return cls(name, categories)

    @classmethod
    def load(cls, name: str) -> Self:
        """A built-in vocabulary, or a union such as `coco+lvis`.

        In a union equal names (whatever their case) merge, and the first vocabulary wins: a later category whose label
        is already taken hands its new synonyms to the category that has it; any other later category only loses the
        names that are taken. Ids stay if they remain unique, else all are renumbered by position, from 0.

        Raises VocabularyError, with the nearest known name, for a name that is not built in.
        """
        if not isinstance(name, str):
            raise VocabularyError(f"vocabulary name {_show(name)}: expected a string, one of {_known()}")
        parts = [_load_builtin(_canonical(part)) for part in name.split("+")]
        categories = parts[0].categories
        for part in parts[1:]:
            categories = _merge(categories, part.categories)
        union_name = "+".join(part.name for part in parts)
        return cls(union_name, _unique_ids(categories), version=max(part.version for part in parts))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """The vocabulary in a YAML or JSON file (format: see the module's text); VocabularyError says what is wrong."""
        path = Path(path)
        return cls._build(_read_document(path), f"vocabulary file {str(path)!r}", default_name=path.stem)

    from_yaml = from_file

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """The inverse of `to_dict`; takes whatever mapping a file may hold, and refuses anything else."""
        return cls._build(data, "vocabulary")

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`."""
        return cls.from_dict(_parse_json(text, f"vocabulary {_show(text)}"))

    @classmethod
    def resolve(cls, value: "Vocabulary | str | os.PathLike[str] | Sequence[str]") -> "Vocabulary":
        """The one door for what a user may give: a vocabulary, a built-in name or union, a file, or classes.

        A string is tried in this order: a built-in name or union; a file, if it ends in .yaml, .yml or .json or is the
        path of an existing file; else classes, as for `parse`. A single word that comes close to a built-in name
        without being a known category is refused as a probable slip; `word:thing` or `word:stuff` makes it a class.
        """
        if isinstance(value, Vocabulary):
            return value
        if isinstance(value, os.PathLike):
            return cls.from_file(value)
        if not isinstance(value, str):
            return cls.parse(value)
        if any(part.strip().casefold() in BUILTIN_VOCABULARIES for part in value.split("+")):
            return cls.load(value)
        if _names_file(value):
            return cls.from_file(value)
        _refuse_near_builtin(value)
        return cls.parse(value)

    @classmethod
    def _build(cls, document: object, where: str, default_name: str = "custom") -> Self:
        """A vocabulary from what a file holds; `where` begins every error message."""
        if not isinstance(document, Mapping):
            raise VocabularyError(f"{where}: found {_show(document)}, expected a mapping with the key 'categories'")
        _require_known_keys(document, _FILE_KEYS, where)
        categories = _categories(document.get("categories"), f"{where}: categories")
        # Positions go on counting, so that ids are unique over both lists unless the user says otherwise.
        background = _categories(document.get("background", []), f"{where}: background", first_id=len(categories))
        allow_duplicates = document.get("allow_duplicates", False)
        if not isinstance(allow_duplicates, bool):
            raise VocabularyError(f"{where}: allow_duplicates is {_show(allow_duplicates)}, expected true or false")
        if not allow_duplicates:
            _refuse_duplicates(categories + background, where)
        return cls(document.get("name", default_name), categories, background, document.get("version", 1))

    @property
    def all_categories(self) -> tuple[Category, ...]:
        """Categories, then background: the order in which class scores are computed."""
        return self.categories + self.background

    def __len__(self) -> int:
        """The number of categories, background not counted."""
        return len(self.categories)

    def with_background(self, other: "Vocabulary | None") -> "Vocabulary":
        """This vocabulary with the categories of `other` as further background, less what the user named.

        A category of `other` whose label stands here leaves whole, since its pixels are the user's; from any other only
        the names that stand here leave. Case does not matter. None changes nothing.
        """
        if other is None:
            return self
        taken = {name.casefold() for name in _all_names(self.all_categories)}
        rest = (_without(category, taken) for category in other.categories if category.label.casefold() not in taken)
        return replace(self, background=self.background + tuple(rest))

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, strings and numbers, as a file holds them; `from_dict` gives an equal vocabulary."""
        document: dict[str, Any] = {"name": self.name, "version": self.version}
        if any(_duplicates(self.all_categories)):
            document["allow_duplicates"] = True
        document["categories"] = [_category_dict(category) for category in self.categories]
        if self.background:
            document["background"] = [_category_dict(category) for category in self.background]
        return document

    def to_json(self) -> str:
        """`to_dict` as one line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file that `from_file` reads; the suffix (.yaml, .yml or .json) selects the format."""
        path = Path(path)
        _require_suffix(path)
        if path.suffix.lower() == ".json":
            text = self.to_json() + "\n"
        else:
            import yaml

            text = yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True, default_flow_style=None)
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise VocabularyError(f"cannot write vocabulary file {str(path)!r}: {error.strerror or error}") from None

    def __repr__(self) -> str:
        shown = ", ".join(category.label for category in self.categories[:3]) + (", ..." if len(self) > 3 else "")
        background = f", {len(self.background)} background" if self.background else ""
        plural = "category" if len(self) == 1 else "categories"
        return f"Vocabulary({self.name!r}, {len(self)} {plural}: {shown}{background})"


def seen_mask(vocabulary_categories: Sequence[Category], training: Vocabulary) -> list[bool]:
    """For each category, whether training saw it: any of its names equals any training name, letter by letter.

    Case-sensitive as published: the mask selects alpha or beta of the geometric ensemble (paper equation 7).
    """
    trained = set(_all_names(training.categories))
    return [not trained.isdisjoint(category.names) for category in vocabulary_categories]


# Reading what a user wrote.


def _parse_entry(entry: str, where: str) -> dict[str, Any]:
    """`"car, automobile:thing"` as the mapping that a file would hold."""
    if ";" in entry:
        raise VocabularyError(f"{where} is {_show(entry)}, expected one category for each string: split it at ';'")
    names, colon, suffix = entry.rpartition(":")
    if not colon:
        return {"names": entry}
    isthing = _parse_kind(suffix, entry, where)
    if ":" in names:
        raise VocabularyError(
            f"{where} is {_show(entry)}: a ':' may only stand before 'stuff' or 'thing' at the end of the category "
            "(a name that holds one can be given in the names list of a file)"
        )
    return {"names": names, "isthing": isthing}


def _parse_kind(suffix: str, entry: str, where: str) -> bool:
    kind = suffix.strip().casefold()
    if kind not in _KINDS:
        raise VocabularyError(
            f"{where} is {_show(entry)}: unknown suffix {':' + suffix.strip()!r}{_did_you_mean(kind, _KINDS)}, "
            "expected ':stuff' or ':thing' at the end"
        )
    return _KINDS[kind]


def _categories(entries: object, where: str, first_id: int = 0) -> tuple[Category, ...]:
    if not isinstance(entries, (list, tuple)):
        found = "missing" if entries is None else _show(entries)
        raise VocabularyError(f"{where}: {found}, expected a list such as ['car', 'sky:stuff']")
    return tuple(_category(entry, first_id + i, f"{where}: category {i + 1}") for i, entry in enumerate(entries))


def _category(entry: object, position: int, where: str) -> Category:
    """One entry of a file: a string as in the one-line format, or a mapping."""
    if isinstance(entry, str):
        entry = _parse_entry(entry, where)
    if not isinstance(entry, Mapping):
        raise VocabularyError(
            f"{where} is {_show_typed(entry)}, expected a string (in quotes, if YAML takes it for something else) or a "
            "mapping with the key 'names'"
        )
    _require_known_keys(entry, _CATEGORY_KEYS, where)
    names = entry.get("names")
    if isinstance(names, str):
        names = names.split(",")
    if not isinstance(names, (list, tuple)) or not names:
        found = "missing" if names is None else _show(names)
        raise VocabularyError(f"{where}: names: {found}, expected a list of strings, label first")
    for name in names:
        _require_name(name, where)
    names = tuple(" ".join(name.split()) for name in names)
    isthing = entry.get("isthing")
    if isthing is None and "isthing" not in entry:
        isthing = _known_kind(names)
    if not isinstance(isthing, bool):
        raise VocabularyError(f"{where}: isthing of {names[0]!r} is {_show(isthing)}, expected true or false")
    _require_int(category_id := entry.get("id", position), f"{where}: the id of {names[0]!r}", minimum=0)
    return Category(category_id, names, isthing)


def _read_document(path: Path) -> object:
    _require_suffix(path)
    where = f"vocabulary file {str(path)!r}"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise VocabularyError(f"cannot read {where}: {error.strerror or error}; give the path of a file") from None
    except ValueError as error:
        raise VocabularyError(f"{where} is not UTF-8 text: {error}; save it as UTF-8") from None
    return _parse_json(text, where) if path.suffix.lower() == ".json" else _parse_yaml(text, where)


def _parse_json(text: str, where: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise VocabularyError(f"{where} is not valid JSON: {error}") from None


def _parse_yaml(text: str, where: str) -> object:
    import yaml  # Only user files are YAML, and `import streamseg.vocabulary` stays quick without it.

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise VocabularyError(f"{where} is not valid YAML: {' '.join(str(error).split())}") from None


# Built-in vocabularies.


def _known() -> str:
    return ", ".join(BUILTIN_VOCABULARIES)


def _canonical(name: str) -> str:
    canonical = name.strip().casefold()
    if canonical not in BUILTIN_VOCABULARIES:
        raise VocabularyError(
            f"unknown vocabulary {name.strip()!r}{_did_you_mean(canonical, BUILTIN_VOCABULARIES)}: expected one of "
            f"{_known()}, a union such as 'coco+lvis', or a .yaml or .json file"
        )
    return canonical


@cache
def _load_builtin(name: str) -> Vocabulary:
    resource = files(__package__).joinpath("data", "vocabularies", BUILTIN_VOCABULARIES[name])
    return Vocabulary.from_json(resource.read_text(encoding="utf-8"))


@cache
def _known_kinds() -> Mapping[str, bool]:
    kinds: dict[str, bool] = {}
    for vocabulary in map(_load_builtin, KNOWN_KINDS_FROM):
        for category in vocabulary.categories:
            for name in category.names:
                kinds.setdefault(name.casefold(), category.isthing)
    return kinds


def _known_kind(names: Sequence[str]) -> bool:
    """Thing or stuff of the first name that is known; a thing where none is."""
    kinds = _known_kinds()
    return next((kinds[name.casefold()] for name in names if name.casefold() in kinds), True)


def _merge(first: Sequence[Category], later: Sequence[Category]) -> tuple[Category, ...]:
    """The union of two lists, as `Vocabulary.load` states it."""
    merged = list(first)
    owners: dict[str, int] = {}
    # A category's own label is the stronger claim where a built-in vocabulary repeats a name.
    for index, category in enumerate(merged):
        owners.setdefault(category.label.casefold(), index)
    for index, category in enumerate(merged):
        for name in category.names:
            owners.setdefault(name.casefold(), index)
    for category in later:
        owner = owners.get(category.label.casefold())
        if owner is None:
            merged.append(_without(category, owners))
            continue
        held = {name.casefold() for name in merged[owner].names}
        fresh = tuple(n for n in category.names if n.casefold() not in owners and n.casefold() not in held)
        merged[owner] = replace(merged[owner], names=merged[owner].names + fresh)
    return tuple(merged)


def _unique_ids(categories: tuple[Category, ...]) -> tuple[Category, ...]:
    if len({category.id for category in categories}) == len(categories):
        return categories
    return tuple(replace(category, id=position) for position, category in enumerate(categories))


def _without(category: Category, taken: Iterable[str]) -> Category:
    """`category` less the names in `taken` (case-folded); its label is not among them."""
    return replace(category, names=tuple(name for name in category.names if name.casefold() not in taken))


def _names_file(value: str) -> bool:
    suffix = Path(value).suffix
    if suffix.lower() in _FILE_SUFFIXES:
        return True
    # A bare word is a class, even where a file happens to have that name.
    return (suffix != "" or os.sep in value) and os.path.isfile(value)


def _refuse_near_builtin(value: str) -> None:
    word = value.strip().casefold()
    if any(mark in word for mark in ";,:") or word in _known_kinds():
        return
    if get_close_matches(word, BUILTIN_VOCABULARIES, n=1, cutoff=0.75):
        hint = _did_you_mean(word, BUILTIN_VOCABULARIES)
        name = value.strip()
        raise VocabularyError(
            f"unknown vocabulary {name!r}{hint}: expected one of {_known()}; "
            f"if it is a category, write {name + ':thing'!r} or {name + ':stuff'!r}"
        )


# Small helpers.


def _all_names(categories: Iterable[Category]) -> Iterator[str]:
    return (name for category in categories for name in category.names)


def _duplicates(categories: Iterable[Category]) -> Iterator[str]:
    seen: set[str] = set()
    for name in _all_names(categories):
        if name.casefold() in seen:
            yield name
        seen.add(name.casefold())


def _refuse_duplicates(categories: Iterable[Category], where: str) -> None:
    duplicate = next(_duplicates(categories), None)
    if duplicate is not None:
        raise VocabularyError(
            f"{where}: the name {_show(duplicate)} stands twice (case does not matter), expected each name once: "
            "leave one out"
        )


def _category_dict(category: Category) -> dict[str, Any]:
    return {"id": category.id, "names": list(category.names), "isthing": category.isthing}


def _show(value: object) -> str:
    """`repr`, cut so that a message stays one readable line."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _show_typed(value: object) -> str:
    return f"{_show(value)} ({type(value).__name__})"


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    nearest = get_close_matches(word, list(known), n=1, cutoff=0.4)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""


def _require_name(name: object, where: str) -> None:
    if not isinstance(name, str):
        raise VocabularyError(f"{where}: a name is {_show_typed(name)}, expected a string: put it in quotes")
    if not name.strip():
        raise VocabularyError(f"{where}: a name is empty, expected a word: remove the ',' or ';' that is too many")
    if not name.isascii() and any("\ud800" <= letter <= "\udfff" for letter in name):
        raise VocabularyError(f"{where}: the name {_show(name)} is not valid text, expected UTF-8")


def _require_int(value: object, what: str, minimum: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
        raise VocabularyError(f"{what} is {_show(value)}, expected a whole number of at least {minimum}")


def _require_known_keys(mapping: Mapping[Any, Any], known: Sequence[str], where: str) -> None:
    for key in mapping:
        if key not in known:
            hint = _did_you_mean(str(key), known)
            raise VocabularyError(f"{where}: unknown key {_show(key)}{hint}, expected only {', '.join(known)}")


def _require_suffix(path: Path) -> None:
    if path.suffix.lower() not in _FILE_SUFFIXES:
        raise VocabularyError(
            f"vocabulary file {str(path)!r} ends in {path.suffix!r}, expected .yaml, .yml or .json: rename it"
        )
