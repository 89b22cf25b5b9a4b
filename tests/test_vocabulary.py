"""The vocabulary: what a user may write, what it means, and what a mistake is answered with."""

import json
import math
import pickle
from pathlib import Path
from typing import Any

import pytest

from streamseg.errors import ConfigError, VocabularyError
from streamseg.vocabulary import (
    BUILTIN_VOCABULARIES,
    KNOWN_KINDS_FROM,
    TRAINING_VOCABULARY,
    Category,
    Vocabulary,
    seen_mask,
)

# The reference's name for each of ours, and its number of categories.
FACTS = {
    "coco": ("coco_panoptic", 133),
    "coco-stuff": ("coco_stuff", 171),
    "ade20k": ("ade20k_150", 150),
    "ade20k-847": ("ade20k_847", 847),
    "cityscapes": ("cityscapes", 19),
    "mapillary": ("mapillary_vistas", 65),
    "pascal-voc-21": ("pascal_voc_21", 21),
    "pascal-context-59": ("pascal_context_59", 59),
    "pascal-context-459": ("pascal_context_459", 459),
    "lvis": ("lvis_1203", 1203),
}


def names(vocabulary: Vocabulary) -> list[tuple[str, ...]]:
    return [category.names for category in vocabulary.categories]


def vocabulary_of(*labels: str) -> Vocabulary:
    return Vocabulary("v", tuple(Category(i, tuple(label.split(",")), True) for i, label in enumerate(labels)))


def write(path: Path, document: Any) -> Path:
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def assert_refused(error: pytest.ExceptionInfo[VocabularyError], *parts: str) -> None:
    """The message is one line and names all `parts`."""
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


# Strings.


def test_the_one_line_format() -> None:
    vocabulary = Vocabulary.parse("person,pedestrian; car; sky:stuff")
    assert vocabulary == Vocabulary(
        "custom",
        (
            Category(0, ("person", "pedestrian"), True),
            Category(1, ("car",), True),
            Category(2, ("sky",), False),
        ),
    )
    assert vocabulary.categories[0].label == "person"
    assert len(vocabulary) == 3


def test_a_list_holds_one_category_in_each_string() -> None:
    assert Vocabulary.parse(["person, pedestrian", "sky:stuff"]) == Vocabulary.parse("person,pedestrian;sky:stuff")
    assert Vocabulary.parse(("car",), name="mine").name == "mine"


def test_white_space_is_trimmed_and_collapsed() -> None:
    assert Vocabulary.parse("  traffic \t light , lights ;\n fire   hydrant : Thing ") == Vocabulary.parse(
        "traffic light,lights;fire hydrant:thing"
    )


def test_a_comma_with_or_without_a_blank_separates_synonyms() -> None:
    assert names(Vocabulary.parse("water, lake,pond")) == [("water", "lake", "pond")]


def test_case_is_kept() -> None:
    assert names(Vocabulary.parse("T-shirt")) == [("T-shirt",)]


@pytest.mark.parametrize(
    ("text", "isthing"),
    [
        ("car", True),
        ("road", False),
        ("Road", False),
        ("road:thing", True),
        ("car:stuff", False),
        ("sky:STUFF", False),
        ("my own word, grass", False),  # an unknown label: its first known synonym decides
        ("chopstick", True),  # known to lvis alone
        ("fog", False),  # known to coco-stuff alone
        ("quadcopter", True),  # known to none
        ("robot", True),  # known only where all categories are marked alike
    ],
)
def test_thing_or_stuff(text: str, isthing: bool) -> None:
    assert Vocabulary.parse(text).categories[0].isthing is isthing


def test_coco_is_asked_before_the_other_vocabularies() -> None:
    """`window` is stuff in coco and a thing in ade20k."""

    def kind(vocabulary: str, name: str) -> bool:
        return next(c.isthing for c in Vocabulary.load(vocabulary).categories if name in c.names)

    assert (kind("coco", "window"), kind("ade20k", "window")) == (False, True)
    assert Vocabulary.parse("window").categories[0].isthing is False
    assert KNOWN_KINDS_FROM[:5] == ("coco", "ade20k", "cityscapes", "mapillary", "lvis")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ("empty", "car; person")),
        ("  \n", ("empty",)),
        ([], ("empty",)),
        ("car;;dog", ("category 2", "name is empty", "remove")),
        ("car;", ("category 2", "name is empty")),
        ("car,", ("category 1", "name is empty")),
        (["car", " "], ("category 2", "name is empty")),
        (":stuff", ("category 1", "name is empty")),
        ("car; dog; Car", ("'Car'", "twice", "leave one out")),
        ("car,auto; vehicle, auto", ("'auto'", "twice")),
        ("car,car", ("'car'", "twice")),
        ("sky:stuf", ("'sky:stuf'", "did you mean 'stuff'?", "':thing'")),
        ("sky:", ("'sky:'", "':stuff' or ':thing'")),
        ("sky:blue", ("'sky:blue'", "':stuff' or ':thing'")),
        ("car:stuff,auto", ("'car:stuff,auto'", "at the end")),
        ("ratio 4:3:stuff", ("'ratio 4:3:stuff'", "names list of a file")),
        (["car; dog"], ("'car; dog'", "one category for each string", "split it")),
        (["car", 3], ("category 2", "3 (int)", "string")),
        (["car", None], ("category 2", "None (NoneType)")),
        (["car", math.nan], ("category 2", "nan (float)")),
        (["car", ["dog"]], ("category 2", "['dog'] (list)")),
        (["car", {"names": ["dog"]}], ("category 2", "(dict)")),
        (None, ("None", "expected a string")),
        (math.nan, ("nan", "expected a string")),
        (7, ("7", "expected a string")),
        (b"car", ("b'car'", "expected a string")),
        ({"car", "dog"}, ("expected a string", "list of strings")),
        ({"car": True}, ("expected a string", "list of strings")),
        ("\udce9", ("not valid text", "UTF-8")),
    ],
)
def test_what_parse_refuses(text: Any, parts: tuple[str, ...]) -> None:
    with pytest.raises(VocabularyError) as error:
        Vocabulary.parse(text)
    assert_refused(error, *parts)


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(VocabularyError) as error:
        Vocabulary.parse(["x" * 5000 + ";y"])
    assert len(str(error.value)) < 300


def test_a_vocabulary_error_is_a_config_error() -> None:
    assert issubclass(VocabularyError, ConfigError)


# Built-in vocabularies.


@pytest.mark.parametrize("name", FACTS)
def test_built_in_vocabularies_equal_the_published_facts(name: str, shared_dir: Path) -> None:
    fact = json.loads((shared_dir / "data" / "vocabularies" / f"{FACTS[name][0]}.json").read_text())["categories"]
    ours = Vocabulary.load(name)
    assert [category.id for category in ours.categories] == [entry["id"] for entry in fact]
    assert [category.isthing for category in ours.categories] == [entry["isthing"] for entry in fact]
    # A name that repeats inside one category cannot change the maximum over its synonyms, so it stands once.
    assert names(ours) == [tuple(dict.fromkeys(entry["names"])) for entry in fact]


def test_every_published_vocabulary_is_built_in() -> None:
    assert {name: (FACTS[name][0], len(Vocabulary.load(name))) for name in FACTS} == FACTS
    assert set(BUILTIN_VOCABULARIES) == {*FACTS, "world", "world-colors", "world-training"}
    assert TRAINING_VOCABULARY in BUILTIN_VOCABULARIES
    assert set(KNOWN_KINDS_FROM) <= set(BUILTIN_VOCABULARIES)


def test_names_of_built_in_vocabularies_stand_in_their_files() -> None:
    assert [Vocabulary.load(name).name for name in BUILTIN_VOCABULARIES] == list(BUILTIN_VOCABULARIES)


def test_ids_of_built_in_vocabularies_are_the_data_sets_own() -> None:
    ids = [category.id for category in Vocabulary.load("coco").categories]
    assert (ids[0], ids[-1]) == (1, 200)


def test_background_of_pascal_voc_is_an_ordinary_category() -> None:
    voc = Vocabulary.load("pascal-voc-21")
    assert voc.categories[0].label == "background"
    assert len(voc.categories[0].names) > 50
    assert voc.background == ()


def test_built_in_names_may_be_written_in_any_case() -> None:
    assert Vocabulary.load(" COCO ") == Vocabulary.load("coco")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("lvsi", ("'lvsi'", "did you mean 'lvis'?", "coco+lvis", ".yaml")),
        ("ade20k-150", ("did you mean 'ade20k",)),
        ("coco+lvsi", ("'lvsi'", "did you mean 'lvis'?")),
        ("coco+", ("''", "expected one of")),
        ("", ("''", "expected one of")),
        ("street.yaml", ("'street.yaml'", "expected one of")),
        (None, ("None", "expected a string")),
        (3, ("3", "expected a string")),
    ],
)
def test_what_load_refuses(name: Any, parts: tuple[str, ...]) -> None:
    with pytest.raises(VocabularyError) as error:
        Vocabulary.load(name)
    assert_refused(error, *parts)


# Unions.


@pytest.fixture
def two_small_vocabularies(monkeypatch: pytest.MonkeyPatch) -> None:
    """`coco` and `lvis` stand for the lists of the test."""
    first = Vocabulary("coco", (Category(1, ("person", "child"), True), Category(5, ("sky",), False)), version=2)
    second = Vocabulary(
        "lvis",
        (
            Category(7, ("Child", "baby", "person"), True),  # its label is a synonym of person: joins it
            Category(8, ("sky", "SKY", "heaven"), True),  # joins sky, and stays stuff
            Category(9, ("kite", "sky"), True),  # only loses sky
        ),
    )
    small = {"coco": first, "lvis": second}
    monkeypatch.setattr("streamseg.vocabulary._load_builtin", small.__getitem__)


@pytest.mark.usefixtures("two_small_vocabularies")
def test_a_union_merges_equal_names_and_the_first_wins() -> None:
    union = Vocabulary.load("coco+lvis")
    assert union == Vocabulary(
        "coco+lvis",
        (
            Category(1, ("person", "child", "baby"), True),
            Category(5, ("sky", "heaven"), False),
            Category(9, ("kite",), True),
        ),
        version=2,
    )


def test_ids_that_clash_in_a_union_are_renumbered_by_position() -> None:
    union = Vocabulary.load("coco+lvis")
    assert [category.id for category in union.categories] == list(range(len(union)))


def test_a_union_keeps_the_first_vocabulary_in_front() -> None:
    coco, union = Vocabulary.load("coco"), Vocabulary.load("coco+lvis")
    for ours, theirs in zip(union.categories, coco.categories, strict=False):
        assert ours.label == theirs.label
        assert ours.isthing == theirs.isthing
        assert ours.names[: len(theirs.names)] == theirs.names


def test_every_name_of_both_vocabularies_stands_once_in_their_union() -> None:
    union = [name.casefold() for category in Vocabulary.load("coco+lvis").categories for name in category.names]
    both = {
        name.casefold()
        for part in ("coco", "lvis")
        for category in Vocabulary.load(part).categories
        for name in category.names
    }
    assert len(union) == len(set(union))
    assert set(union) == both


def test_a_union_with_itself_changes_nothing() -> None:
    assert Vocabulary.load("coco+coco").categories == Vocabulary.load("coco").categories


def test_a_union_of_vocabularies_that_repeat_names_stays_usable() -> None:
    union = Vocabulary.load("lvis+ade20k-847+mapillary")
    assert all(len(set(category.names)) == len(category.names) for category in union.categories)
    assert Vocabulary.from_dict(union.to_dict()) == union


# Background.


def test_background_is_the_other_vocabulary_less_what_the_user_named() -> None:
    other = Vocabulary(
        "other",
        (
            Category(4, ("Car", "cars"), True),  # its label is named: leaves whole
            Category(6, ("person", "child", "girl"), True),  # only the synonym leaves
            Category(9, ("sky",), False),
        ),
    )
    vocabulary = Vocabulary.parse("automobile,car; child").with_background(other)
    assert names(vocabulary) == [("automobile", "car"), ("child",)]
    assert vocabulary.background == (Category(6, ("person", "girl"), True), Category(9, ("sky",), False))
    assert vocabulary.all_categories == vocabulary.categories + vocabulary.background
    assert len(vocabulary) == 2


def test_no_background_changes_nothing() -> None:
    vocabulary = Vocabulary.parse("car")
    assert vocabulary.with_background(None) is vocabulary


def test_adding_the_same_background_twice_changes_nothing_more() -> None:
    coco = Vocabulary.load("coco")
    once = Vocabulary.parse("car; tree").with_background(coco)
    assert once.with_background(coco) == once
    assert len(once.background) == 131


def test_a_vocabulary_is_no_background_of_its_own() -> None:
    coco = Vocabulary.load("coco")
    assert coco.with_background(coco).background == ()


def test_a_users_own_background_is_kept_in_front() -> None:
    vocabulary = Vocabulary.from_dict({"categories": ["car"], "background": ["tree"]})
    assert [c.label for c in vocabulary.with_background(vocabulary_of("sky", "tree")).background] == ["tree", "sky"]


# Seen and unseen.


def test_seen_means_that_any_name_equals_any_training_name() -> None:
    training = vocabulary_of("person,child", "sky")
    categories = vocabulary_of("man,child", "Sky", "sky blue", "heaven,sky").categories
    assert seen_mask(categories, training) == [True, False, False, True]


def test_the_training_vocabulary_is_all_seen() -> None:
    coco = Vocabulary.load(TRAINING_VOCABULARY)
    assert all(seen_mask(coco.categories, coco))


@pytest.mark.parametrize("case", ["rn50_A", "rn50_B"])
def test_seen_equals_the_original_on_the_reference_cases(case: str, shared_dir: Path) -> None:
    golden = json.loads((shared_dir / "reference" / "golden" / f"golden_{case}.json").read_text())
    vocabulary = Vocabulary.parse([entry["names"] for entry in golden["classes"]])
    seen = seen_mask(vocabulary.all_categories, Vocabulary.load(TRAINING_VOCABULARY))
    assert seen == [bool(value) for value in golden["category_overlapping_mask"]]


# Files.

DOCUMENT = {
    "name": "street",
    "version": 2,
    "categories": [
        {"names": ["car", "automobile"], "isthing": True, "id": 30},
        "sky:stuff",
        {"names": ["ratio 4:3", "a,b;c"]},
        {"names": "traffic  sign, signpost", "isthing": False},
    ],
    "background": ["tree"],
}


@pytest.mark.parametrize("suffix", [".json", ".yaml", ".yml"])
def test_a_file_in_either_format(suffix: str, tmp_path: Path) -> None:
    vocabulary = Vocabulary.from_file(write(tmp_path / f"any{suffix}", DOCUMENT))
    assert vocabulary == Vocabulary(
        "street",
        (
            Category(30, ("car", "automobile"), True),
            Category(1, ("sky",), False),
            Category(2, ("ratio 4:3", "a,b;c"), True),
            Category(3, ("traffic sign", "signpost"), False),
        ),
        background=(Category(4, ("tree",), False),),
        version=2,
    )


def test_the_yaml_of_the_documentation(tmp_path: Path) -> None:
    text = """
    # comments are welcome
    categories:
      - {names: [car, automobile], isthing: true, id: 3}
      - "sky:stuff"
      - grass
    background: ["building", "tree"]
    """
    vocabulary = Vocabulary.from_yaml(write(tmp_path / "my street.yaml", text))
    assert vocabulary.name == "my street"
    assert [(c.id, c.label, c.isthing) for c in vocabulary.categories] == [
        (3, "car", True),
        (1, "sky", False),
        (2, "grass", False),
    ]


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
@pytest.mark.parametrize("name", ["cityscapes", "ade20k-847", "coco+lvis"])
def test_saved_vocabularies_are_read_back_equal(name: str, suffix: str, tmp_path: Path) -> None:
    vocabulary = Vocabulary.load(name)
    vocabulary.save(tmp_path / f"file{suffix}")
    assert Vocabulary.from_file(tmp_path / f"file{suffix}") == vocabulary


def test_a_background_is_saved_too(tmp_path: Path) -> None:
    vocabulary = Vocabulary.parse("naïve; sky").with_background(Vocabulary.load("coco"))
    vocabulary.save(tmp_path / "file.yaml")
    assert Vocabulary.from_file(tmp_path / "file.yaml") == vocabulary
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary


def test_only_a_list_that_repeats_names_says_so() -> None:
    assert "allow_duplicates" not in Vocabulary.load("coco").to_dict()
    assert Vocabulary.load("ade20k-847").to_dict()["allow_duplicates"] is True


@pytest.mark.parametrize(
    ("document", "parts"),
    [
        ([], ("[]", "mapping", "'categories'")),
        (None, ("None", "mapping")),
        ("car", ("'car'", "mapping")),
        ({}, ("categories: missing", "expected a list")),
        ({"categories": None}, ("categories: missing",)),
        ({"categories": []}, ("empty",)),
        ({"categories": "car; dog"}, ("'car; dog'", "expected a list")),
        ({"categories": {"car": 1}}, ("expected a list",)),
        ({"categories": [3]}, ("category 1", "3 (int)", "mapping")),
        ({"categories": ["car", False]}, ("category 2", "False (bool)", "quotes")),
        ({"categories": ["car", ["dog"]]}, ("category 2", "(list)")),
        ({"categories": ["car", {}]}, ("category 2", "names: missing")),
        ({"categories": [{"names": []}]}, ("names: []", "list of strings")),
        ({"categories": [{"names": 4}]}, ("names: 4",)),
        ({"categories": [{"names": ["car", 4]}]}, ("4 (int)", "quotes")),
        ({"categories": [{"names": ["car", math.nan]}]}, ("nan (float)",)),
        ({"categories": [{"names": ["car", ""]}]}, ("category 1", "name is empty")),
        ({"categories": [{"names": ["car"], "isthing": 1}]}, ("'car'", "isthing", "1", "true or false")),
        ({"categories": [{"names": ["car"], "isthing": "yes"}]}, ("'yes'", "true or false")),
        ({"categories": [{"names": ["car"], "isthing": None}]}, ("None", "true or false")),
        ({"categories": [{"names": ["car"], "id": -1}]}, ("id of 'car'", "-1", "whole number")),
        ({"categories": [{"names": ["car"], "id": True}]}, ("True", "whole number")),
        ({"categories": [{"names": ["car"], "id": 1.5}]}, ("1.5", "whole number")),
        ({"categories": [{"names": ["car"], "id": math.nan}]}, ("nan", "whole number")),
        ({"categories": [{"names": ["car"], "is_thing": True}]}, ("'is_thing'", "did you mean 'isthing'?")),
        ({"categories": ["car"], "backgruond": []}, ("'backgruond'", "did you mean 'background'?")),
        ({"categories": ["car", {"names": ["dog"], "id": 0}]}, ("id 0", "'car'", "'dog'", "id of its own")),
        ({"categories": ["car", "Car"]}, ("'Car'", "twice")),
        ({"categories": ["car"], "background": ["car"]}, ("'car'", "twice")),
        ({"categories": ["car"], "background": "tree"}, ("background", "expected a list")),
        ({"categories": ["car"], "background": [0]}, ("background: category 1", "0 (int)")),
        ({"categories": ["sky:stuf"]}, ("':stuf'", "did you mean 'stuff'?")),
        ({"categories": ["car"], "version": 0}, ("version", "0", "at least 1")),
        ({"categories": ["car"], "version": "1"}, ("version", "'1'")),
        ({"categories": ["car"], "name": 5}, ("name of a vocabulary", "5 (int)")),
        ({"categories": ["car"], "name": " "}, ("name of a vocabulary", "empty")),
        ({"categories": ["car"], "allow_duplicates": 1}, ("allow_duplicates", "true or false")),
    ],
)
def test_what_a_file_may_not_hold(document: Any, parts: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(VocabularyError) as error:
        Vocabulary.from_file(write(tmp_path / "file.json", json.dumps(document)))
    assert_refused(error, *parts)


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("broken.json", b'{"categories": [', ("broken.json", "not valid JSON")),
        ("broken.yaml", b"categories: [car", ("broken.yaml", "not valid YAML")),
        ("tags.yaml", b"categories: !!python/object:os.system [car]", ("not valid YAML",)),
        ("empty.yaml", b"", ("empty.yaml", "None", "mapping")),
        ("bool.yaml", b"categories: [car, no]", ("category 2", "False (bool)", "quotes")),
        ("latin.yaml", "categories: [café]".encode("latin-1"), ("latin.yaml", "UTF-8")),
        ("deep.json", b"[" * 200_000, ("deep.json", "not valid JSON")),
        ("words.txt", b"car", ("words.txt", "'.txt'", ".yaml, .yml or .json")),
    ],
)
def test_files_that_cannot_be_read(name: str, content: bytes, parts: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(VocabularyError) as error:
        Vocabulary.from_file(tmp_path / name)
    assert_refused(error, *parts)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError) as error:
        Vocabulary.from_file(tmp_path / "missing.yaml")
    assert_refused(error, "missing.yaml", "No such file")
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(VocabularyError) as error:
        Vocabulary.from_file(tmp_path / "folder.yaml")
    assert_refused(error, "folder.yaml", "directory")


def test_a_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "windows.json").write_bytes(b'\xef\xbb\xbf{"categories": ["car"]}')
    assert names(Vocabulary.from_file(tmp_path / "windows.json")) == [("car",)]


def test_where_a_file_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError) as error:
        Vocabulary.parse("car").save(tmp_path / "missing" / "file.json")
    assert_refused(error, "file.json", "No such file")
    with pytest.raises(VocabularyError) as error:
        Vocabulary.parse("car").save(tmp_path / "file.txt")
    assert_refused(error, "file.txt", ".yaml, .yml or .json")


def test_json_that_is_no_vocabulary() -> None:
    with pytest.raises(VocabularyError) as error:
        Vocabulary.from_json("{")
    assert_refused(error, "not valid JSON")


# The one door.


def test_resolve_takes_whatever_a_user_may_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "street.yaml", {"categories": ["car"]})
    vocabulary = Vocabulary.parse("car; dog")
    assert Vocabulary.resolve(vocabulary) is vocabulary
    assert Vocabulary.resolve("lvis") == Vocabulary.load("lvis")
    assert Vocabulary.resolve("coco+lvis") == Vocabulary.load("coco+lvis")
    assert Vocabulary.resolve(path).name == "street"
    assert Vocabulary.resolve(str(path)) == Vocabulary.resolve("street.yaml") == Vocabulary.resolve(path)
    assert Vocabulary.resolve("car; dog") == vocabulary
    assert Vocabulary.resolve(["car", "dog"]) == vocabulary
    assert names(Vocabulary.resolve("zebra")) == [("zebra",)]


def test_resolve_takes_a_bare_word_for_a_class_even_beside_a_file_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "car").write_text("")
    assert names(Vocabulary.resolve("car")) == [("car",)]


def test_resolve_takes_a_slash_for_part_of_a_name_unless_there_is_such_a_file() -> None:
    assert names(Vocabulary.resolve("tv/monitor; c++ book")) == [("tv/monitor",), ("c++ book",)]
    assert len(Vocabulary.resolve("a/" + "b" * 4000)) == 1


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("lvsi", ("'lvsi'", "did you mean 'lvis'?", "'lvsi:thing'")),
        ("cityscape", ("did you mean 'cityscapes'?", "'cityscape:stuff'")),
        ("coco+dog", ("'dog'", "expected one of")),
        ("missing.yaml", ("'missing.yaml'", "No such file")),
        (None, ("None", "expected a string")),
        (3, ("3", "expected a string")),
        ("", ("empty",)),
    ],
)
def test_what_resolve_refuses(value: Any, parts: tuple[str, ...]) -> None:
    with pytest.raises(VocabularyError) as error:
        Vocabulary.resolve(value)
    assert_refused(error, *parts)


def test_a_class_that_resembles_a_built_in_name_can_still_be_written() -> None:
    assert names(Vocabulary.resolve("cityscape:stuff")) == [("cityscape",)]
    assert names(Vocabulary.resolve(["cityscape"])) == [("cityscape",)]


# The objects themselves.


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ((-1, ("car",), True), ("-1", "at least 0")),
        (("1", ("car",), True), ("'1'", "whole number")),
        ((0, "car", True), ("'car'", "tuple of strings")),
        ((0, ["car"], True), ("['car']", "tuple of strings")),
        ((0, (), True), ("no names",)),
        ((0, ("",), True), ("name is empty",)),
        ((0, (3,), True), ("3 (int)",)),
        ((0, ("car",), 1), ("isthing", "true or false")),
    ],
)
def test_a_category_checks_itself(arguments: tuple[Any, ...], parts: tuple[str, ...]) -> None:
    with pytest.raises(VocabularyError) as error:
        Category(*arguments)
    assert_refused(error, *parts)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("v", ()), ("'v'", "empty")),
        (("v", []), ("[]", "tuple of Category")),
        (("v", ("car",)), ("('car',)", "tuple of Category")),
        (("", (Category(0, ("car",), True),)), ("name", "empty")),
        (("v", (Category(0, ("car",), True), Category(0, ("dog",), True))), ("id 0", "'car'", "'dog'")),
        (("v", (Category(0, ("car",), True),), ("tree",)), ("background", "tuple of Category")),
        (("v", (Category(0, ("car",), True),), (), 0), ("version", "at least 1")),
    ],
)
def test_a_vocabulary_checks_itself(arguments: tuple[Any, ...], parts: tuple[str, ...]) -> None:
    with pytest.raises(VocabularyError) as error:
        Vocabulary(*arguments)
    assert_refused(error, *parts)


def test_repr_stays_short() -> None:
    coco = Vocabulary.load("coco")
    assert repr(coco) == "Vocabulary('coco', 133 categories: person, bicycle, car, ...)"
    assert repr(Vocabulary.parse("car")) == "Vocabulary('custom', 1 category: car)"
    assert repr(Vocabulary.parse("car; dog").with_background(coco)).endswith("car, dog, 131 background)")


def test_vocabularies_are_values() -> None:
    vocabulary = Vocabulary.parse("car; sky").with_background(Vocabulary.load("cityscapes"))
    assert pickle.loads(pickle.dumps(vocabulary)) == vocabulary
    assert hash(Vocabulary.parse("car")) == hash(Vocabulary.parse("car"))
    with pytest.raises(AttributeError):
        vocabulary.name = "other"  # type: ignore[misc]
