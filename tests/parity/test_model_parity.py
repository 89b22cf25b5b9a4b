"""Comparison with stored numbers of the original: that it passes on them, and that it would notice."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pipelines import parity as pipeline
from streamseg.errors import ParityError
from streamseg.fcclip.classifier import class_logits, geometric_ensemble, published_log_scores
from streamseg.fcclip.model import build_fcclip
from streamseg.fcclip.reference_weights import write_reference_checkpoint
from streamseg.fcclip.spec import get_spec
from streamseg.fcclip.text import VILD_TEMPLATES, build_text_encoder
from streamseg.panoptic import instance_inference, panoptic_inference, semantic_inference
from streamseg.parity.model_parity import (
    Check,
    Tolerance,
    compare,
    find_cases,
    main,
    run_parity,
)
from streamseg.segmenter import Segmenter
from streamseg.vocabulary import Category, Vocabulary, seen_mask
from tests.conftest import REPOSITORY
from tests.small_models import picture

Facts = dict[str, Any]

CLASSES = [
    {"names": "cat,kitten", "isthing": True},
    {"names": "quadcopter, drone", "isthing": True},
    {"names": "sky", "isthing": False},
    {"names": "car", "isthing": True},
]


@pytest.fixture(scope="session")
def golden(shared_dir: Path) -> Path:
    folder = shared_dir / "reference" / "golden"
    if not folder.is_dir():
        pytest.skip("needs the stored numbers in ../shared/reference/golden")
    return folder


# --- against the original


def test_resnet50_equals_the_original(golden: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(golden / "golden_rn50_A.json"), str(golden / "golden_rn50_B.npz")]) == 0
    out = capsys.readouterr().out
    assert out.endswith("2 of 2 cases passed\n")
    assert "golden_rn50_A on fcclip-r50" in out
    assert "panoptic_seg" in out
    assert "segments_info" in out
    assert "FAIL" not in out


@pytest.mark.slow
@pytest.mark.parametrize("case", ["golden_convnext_large_A", "golden_convnext_large_B", "golden_rn50x4_B"])
def test_other_models_equal_the_original(golden: Path, case: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(golden / case)]) == 0
    out = capsys.readouterr().out
    assert "1 of 1 cases passed" in out
    assert ("not compared" in out) == ("rn50x4" in case)


@pytest.mark.slow
def test_a_changed_weight_of_resnet50_is_noticed(golden: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights.pth"
    write_reference_checkpoint(build_fcclip(get_spec("fcclip-r50")), weights)
    perturb(weights, "sem_seg_head.predictor.transformer_ffn_layers.8.linear2.bias", 3, 0.1)
    assert main([str(golden / "golden_rn50_B"), "--weights", str(weights)]) == 1


@pytest.mark.slow
@pytest.mark.cuda
@pytest.mark.parametrize("case", ["golden_rn50_A", "golden_rn50_B", "golden_convnext_large_A"])
def test_cuda_equals_the_original(golden: Path, case: str) -> None:
    assert main([str(golden / case), "--device", "cuda"]) == 0


# --- cases of our own: other sizes and classes, on the small demo


def perturb(weights: Path, key: str, element: int, by: float) -> None:
    content = torch.load(weights, weights_only=True)
    content["model"][key].view(-1)[element] += by
    torch.save(content, weights)


@torch.inference_mode()
def store_case(segmenter: Segmenter, path: Path, height: int, width: int, classes: Sequence[Facts] = CLASSES) -> Path:
    """Write what the original would store for a picture, computed stage by stage with the model's parts."""
    image = picture(height, width, seed=3)
    model, spec = segmenter.model, segmenter.spec
    facts: Facts = {"config": spec.name, "case": "Z", "height": height, "width": width, "classes": list(classes)}
    tensors: dict[str, Any] = {"image": image}

    def sample(name: str, tensor: torch.Tensor, stride: int) -> None:
        facts[name] = {"shape": list(tensor.shape), "stride": stride}
        tensors[f"{name}_sample"] = tensor.flatten()[::stride]

    synonyms = [entry["names"].replace(", ", ",").split(",") for entry in classes]
    prompts = [template.format(name) for names in synonyms for name in names for template in VILD_TEMPLATES]
    encoder = build_text_encoder(model.backbone.clip_model, spec)
    embeddings = F.normalize(encoder.encode_prompts(prompts), dim=-1).unflatten(0, (-1, len(VILD_TEMPLATES))).mean(1)
    vocabulary = Vocabulary(
        "case",
        tuple(Category(i, tuple(names), classes[i]["isthing"]) for i, names in enumerate(synonyms)),
    )
    text = segmenter.text_classifier(vocabulary)
    void = model.void_embedding.weight
    tensors["token_ids"] = encoder.tokenize(prompts).int()
    tensors["text_classifier"] = F.normalize(embeddings, dim=-1)
    tensors["text_classifier_with_void"] = F.normalize(void, dim=-1)
    tensors["category_overlapping_mask"] = np.array(
        seen_mask(vocabulary.categories, segmenter.training_vocabulary), int
    )

    normalised = (torch.from_numpy(image).permute(2, 0, 1).double() - torch.tensor(spec.pixel_mean)[:, None, None]) / (
        torch.tensor(spec.pixel_std)[:, None, None]
    )
    padded = F.pad(normalised.float(), (0, -width % 32, 0, -height % 32))[None]
    features, pixels = model.features(padded)
    for name in ("stem", "res2", "res3", "res4", "res5"):
        sample(f"feat_{name}", getattr(features, name), 7)
    sample("feat_clip_vis_dense", features.dense, 3)
    for level, scale in enumerate(pixels.scales):
        sample(f"ms{level}", scale, 5)
    sample("mask_features", pixels.mask_features, 11)

    def logits(embedding: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return class_logits(embedding, text, scale, void)

    stages = model.mask_decoder.forward_all_stages(pixels)
    scale = model.mask_decoder.logit_scale
    tensors["aux_pred_logits"] = torch.cat([logits(stage.class_embedding, scale) for stage in stages[:-1]])
    facts["aux_pred_masks"] = [{"stride": 13}] * (len(stages) - 1)
    for number, stage in enumerate(stages[:-1]):
        tensors[f"aux_pred_masks_{number}_sample"] = stage.mask_logits.flatten()[::13]
    masks = stages[-1].mask_logits[0]
    facts["pred_masks_f16_query_stride"] = 2
    tensors["pred_masks_f16"] = masks[::2].half()
    tensors["pred_masks_every25th_f32"] = masks[::25]
    tensors["pred_masks_sign_packed"] = np.packbits(masks.numpy() > 0)

    image_pass = model.read_out(features, stages[-1])
    tensors["valid_mask_at_clip_res"] = image_pass.clip_valid[0]
    tensors["pooled_clip_every10th"] = image_pass.clip_embedding[0, ::10]
    inside = logits(stages[-1].class_embedding, scale)[0]
    outside = logits(image_pass.clip_embedding, model.backbone.logit_scale)[0]
    tensors["pred_logits"], tensors["out_vocab_logits"] = inside, outside
    scores = geometric_ensemble(inside, outside[:, :-1], text.seen, alpha=spec.alpha, beta=spec.beta)
    tensors["mask_cls_after_log"] = published_log_scores(scores.log_scores, scores.void_probability)

    probabilities = tensors["mask_cls_after_log"].softmax(-1)
    full = F.interpolate(masks[None], padded.shape[-2:], mode="bilinear")[0, :, :height, :width]
    panoptic = panoptic_inference(probabilities, full, vocabulary.categories)
    tensors["panoptic_seg"] = panoptic.ids.astype(np.uint8)
    facts["segments_info"] = [
        {"id": segment.id, "isthing": segment.isthing, "category_id": segment.category_id}
        for segment in panoptic.segments
    ]
    semantic = semantic_inference(probabilities, full)
    tensors["sem_seg_argmax"] = semantic.argmax(0).byte()
    tensors["sem_seg_stride8"] = semantic[:, ::8, ::8]
    instances = instance_inference(probabilities, full, vocabulary.categories)
    tensors["inst_scores_sorted"] = instances.scores
    tensors["inst_classes_sorted"] = instances.classes.short()
    tensors["inst_areas_sorted"] = instances.masks.flatten(1).sum(1).int()

    path.parent.mkdir(exist_ok=True)
    np.savez(path.with_suffix(".npz"), **{key: np.asarray(value) for key, value in tensors.items()})
    path.with_suffix(".json").write_text(json.dumps(facts))
    return path


@pytest.fixture(scope="module")
def demo_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "demo.pth"
    write_reference_checkpoint(build_fcclip(get_spec("demo")), path)
    return path


@pytest.fixture(scope="module")
def demo(demo_weights: Path) -> Segmenter:
    return Segmenter.load("demo", weights=demo_weights, device="cpu", precision="fp32", text_cache=False)


@pytest.fixture(scope="module")
def stored(demo: Segmenter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case of the demo model, 70x100 pixels: no multiple of 32. Read-only."""
    return store_case(demo, tmp_path_factory.mktemp("cases") / "case", 70, 100)


@pytest.fixture
def case(stored: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    for suffix in (".npz", ".json"):
        shutil.copy(stored.with_suffix(suffix), tmp_path)
    return tmp_path / stored.name


def rewrite(case: Path, change: Callable[[dict[str, Any], Facts], Any]) -> None:
    """Change a case's tensors or facts in place."""
    with np.load(case.with_suffix(".npz")) as archive:
        tensors = dict(archive)
    facts = json.loads(case.with_suffix(".json").read_text())
    change(tensors, facts)
    np.savez(case.with_suffix(".npz"), **tensors)
    case.with_suffix(".json").write_text(json.dumps(facts))


def failed(checks: Sequence[Check]) -> set[str]:
    return {check.name for check in checks if not check.passed}


def checks_of(case: Path, segmenter: Segmenter) -> list[Check]:
    [golden_case] = find_cases([case])
    return list(compare(golden_case, segmenter))


@pytest.mark.parametrize(
    ("height", "width", "classes"),
    [(64, 96, CLASSES), (100, 150, CLASSES[1:3]), (33, 31, CLASSES[:1]), (40, 130, CLASSES[2:3])],
    ids=["aligned", "unaligned", "one thing", "one stuff"],
)
def test_any_size_and_any_classes(
    demo: Segmenter, tmp_path: Path, height: int, width: int, classes: list[Facts]
) -> None:
    checks = checks_of(store_case(demo, tmp_path / "other", height, width, classes), demo)
    assert failed(checks) == set()
    assert len(checks) > 30


def test_the_deterministic_weights_go_through_the_door_that_users_take(
    stored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(stored)]) == 0
    out = capsys.readouterr().out
    assert "case on demo" in out
    assert out.endswith("1 of 1 cases passed\n")


def test_every_stored_tensor_is_judged(stored: Path, demo: Segmenter) -> None:
    [golden_case] = find_cases([stored])
    judged = {check.name.partition("[")[0] for check in compare(golden_case, demo) if check.tolerance is not None}
    assert set(golden_case.tensors) - {"image"} <= judged
    assert "segments_info" in judged


@pytest.mark.parametrize(
    ("key", "element", "by", "noticed_by"),
    [
        ("backbone.clip_model.visual.trunk.stages.1.blocks.0.conv_dw.bias", 0, 0.1, "feat_res3_sample"),
        ("pixel_decoder.transformer.level_embed", 5, 0.1, "ms0_sample"),
        ("pixel_decoder.mask_features.bias", 5, 0.1, "mask_features_sample"),
        ("mask_decoder.query_feat.weight", slice(0, None, 128), 0.5, "aux_pred_masks_0_sample"),
        ("mask_decoder.transformer_ffn_layers.2.linear2.bias", 3, 0.1, "pred_masks_f16"),
        ("mask_decoder.class_embed.layers.2.bias", 1, 0.1, "pred_logits"),
        ("backbone.clip_model.logit_scale", 0, -0.1, "out_vocab_logits"),
        ("void_embedding.weight", 1, 0.5, "text_classifier_with_void"),
    ],
)
def test_a_changed_weight_is_noticed(
    stored: Path, demo: Segmenter, key: str, element: int | slice, by: float, noticed_by: str
) -> None:
    weight = demo.model.state_dict()[key].view(-1)
    before = weight.clone()
    weight[element] += by
    try:
        assert noticed_by in failed(checks_of(stored, demo))
    finally:
        weight.copy_(before)
    assert failed(checks_of(stored, demo)) == set()


def test_a_changed_weight_in_a_file_is_noticed(stored: Path, demo_weights: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights.pth"
    shutil.copy(demo_weights, weights)
    [golden_case] = find_cases([stored])
    assert failed(run_parity(golden_case, weights=weights)) == set()
    perturb(weights, "backbone.clip_model.ln_final.bias", 0, 0.1)
    assert "text_classifier" in failed(run_parity(golden_case, weights=weights))


def test_a_failed_comparison_exits_with_one(
    case: Path, stored: Path, demo_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(case, lambda tensors, _: tensors["pred_logits"].__iadd__(0.01))
    case.with_suffix(".npz").rename(case.with_name("spoiled.npz"))
    case.with_suffix(".json").rename(case.with_name("spoiled.json"))
    assert main([str(case.with_name("spoiled")), str(stored), "--weights", str(demo_weights)]) == 1
    out = capsys.readouterr().out
    assert out.count("FAIL") == 1
    assert "; failed: pred_logits\n" in out
    assert out.endswith("1 of 2 cases passed; failed: spoiled\n")


SPOILED: dict[str, Callable[[dict[str, Any], Facts], Any]] = {
    "panoptic_seg": lambda tensors, _: tensors["panoptic_seg"].__setitem__((slice(0, 3), slice(0, 20)), 200),
    "segments_info": lambda _, facts: facts["segments_info"].append({"id": 99, "isthing": True, "category_id": 0}),
    "sem_seg_argmax": lambda tensors, _: tensors["sem_seg_argmax"].__setitem__((slice(0, 3), slice(0, 20)), 77),
    "token_ids": lambda tensors, _: tensors["token_ids"].__setitem__((0, 3), 1),
    "category_overlapping_mask": lambda tensors, _: tensors["category_overlapping_mask"].__setitem__(0, 0),
    "pred_masks_sign_packed": lambda tensors, _: np.bitwise_not(
        tensors["pred_masks_sign_packed"], out=tensors["pred_masks_sign_packed"]
    ),
    "valid_mask_at_clip_res": lambda tensors, _: np.logical_not(
        tensors["valid_mask_at_clip_res"], out=tensors["valid_mask_at_clip_res"]
    ),
    "inst_scores_sorted": lambda tensors, _: tensors["inst_scores_sorted"].__imul__(1.1),
    "inst_areas_sorted": lambda tensors, _: tensors["inst_areas_sorted"].__imul__(2),
    "ms1_sample": lambda tensors, _: tensors["ms1_sample"].__setitem__(0, np.nan),
}


@pytest.mark.parametrize("name", SPOILED)
def test_every_kind_of_number_can_fail(case: Path, demo: Segmenter, name: str) -> None:
    rewrite(case, SPOILED[name])
    assert failed(checks_of(case, demo)) == {name}


def test_one_query_in_forty_may_differ_and_one_in_ten_may_not(case: Path, demo: Segmenter) -> None:
    """A mask logit within rounding of zero flips a bit of an attention mask and moves its query."""

    def move(queries: int) -> None:
        rewrite(case, lambda tensors, _: tensors["pred_logits"][:queries].__iadd__(1))

    move(1)
    assert failed(checks_of(case, demo)) == set()
    move(6)
    assert failed(checks_of(case, demo)) == {"pred_logits"}


@pytest.mark.parametrize("model", ["demo", pytest.param("fcclip-r50", marks=pytest.mark.slow)])
def test_numbers_of_another_model_fail_without_a_traceback(
    golden: Path, stored: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = golden / "golden_rn50_B" if model == "demo" else stored
    assert main([str(other), "--model", model]) == 1
    captured = capsys.readouterr()
    assert f"on {model}" in captured.out
    assert "0 of 1 cases passed" in captured.out


def test_a_case_may_store_less(case: Path, demo: Segmenter) -> None:
    def keep_little(tensors: dict[str, Any], facts: Facts) -> None:
        for name in set(tensors) - {"image", "pred_logits"}:
            del tensors[name]
        del facts["segments_info"]

    rewrite(case, keep_little)
    assert [(check.name, check.passed) for check in checks_of(case, demo)] == [("pred_logits", True)]


def test_ill_conditioned_cases_are_compared_up_to_the_decoder(case: Path, demo: Segmenter) -> None:
    rewrite(case, lambda _, facts: facts.update({"noise_floor_max_abs_diff(one thread)": {"aux_pred_logits": 1.5}}))
    checks = checks_of(case, demo)
    assert not any("pred" in check.name for check in checks)
    assert checks[-1].name == "decoder and later"
    assert checks[-1].tolerance is None
    assert {"text_classifier", "feat_res5_sample", "mask_features_sample"} <= {check.name for check in checks}


def test_a_stored_noise_floor_widens_the_tolerance_of_its_sample(case: Path, demo: Segmenter) -> None:
    rewrite(case, lambda tensors, _: tensors["ms0_sample"].__iadd__(0.0015))
    assert failed(checks_of(case, demo)) == {"ms0_sample"}
    rewrite(case, lambda _, facts: facts.update({"noise_floor_max_abs_diff(one thread)": {"ms0_sample": 0.001}}))
    assert failed(checks_of(case, demo)) == set()


# --- where cases are found


def test_a_case_goes_by_either_file_its_stem_or_its_folder(stored: Path) -> None:
    for given in (stored, stored.with_suffix(".json"), stored.with_suffix(".npz"), stored.parent):
        assert [case.path for case in find_cases([given])] == [stored]
        assert [case.path for case in find_cases([str(given)])] == [stored]
    assert [case.path for case in find_cases([stored, stored.parent, stored.with_suffix(".npz")])] == [stored]


def test_names_may_hold_dots(case: Path) -> None:
    for suffix in (".npz", ".json"):
        case.with_suffix(suffix).rename(case.with_name(f"case.v1.2{suffix}"))
    for name in ("case.v1.2", "case.v1.2.json", "case.v1.2.npz"):
        assert [found.path.name for found in find_cases([case.with_name(name)])] == ["case.v1.2"]
    assert find_cases([case.parent])[0].path.name == "case.v1.2"


def remove(suffix: str) -> Callable[[Path], Path]:
    def spoil(case: Path) -> Path:
        case.with_suffix(suffix).unlink()
        return case

    return spoil


def write(suffix: str, content: bytes) -> Callable[[Path], Path]:
    def spoil(case: Path) -> Path:
        case.with_suffix(suffix).write_bytes(content)
        return case

    return spoil


def cut(case: Path) -> Path:
    path = case.with_suffix(".npz")
    path.write_bytes(path.read_bytes()[:-2000])
    return case


def flip(case: Path) -> Path:
    path = case.with_suffix(".npz")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    return case


def pickled(case: Path) -> Path:
    rewrite(case, lambda tensors, _: tensors.update(pred_logits=np.array([{}], dtype=object)))
    return case


def bare_array(case: Path) -> Path:
    with case.with_suffix(".npz").open("wb") as file:
        np.save(file, np.zeros(3))
    return case


def without(key: str) -> Callable[[Path], Path]:
    def spoil(case: Path) -> Path:
        rewrite(case, lambda tensors, facts: (tensors.pop(key, None), facts.pop(key, None)))
        return case

    return spoil


def config(value: str) -> Callable[[Path], Path]:
    def spoil(case: Path) -> Path:
        rewrite(case, lambda _, facts: facts.update(config=value))
        return case

    return spoil


MISTAKES = {
    "no such case": (lambda case: case.with_name("cass"), r"cass\.json is missing: .*pair.*did you mean case\.json\?"),
    "no such folder": (lambda case: case / "nowhere" / "case", r"nowhere/case\.json is missing"),
    "an empty folder": (lambda case: case.parent / "empty", r"empty holds no case: expected pairs NAME\.npz and"),
    "no json": (remove(".json"), r"case\.json is missing: a case is a pair NAME\.json and NAME\.npz"),
    "no npz": (remove(".npz"), r"case\.npz is missing: a case is a pair"),
    "empty npz": (write(".npz", b""), r"cannot be read as a case"),
    "npz of rubbish": (write(".npz", b"rubbish"), r"cannot be read as a case"),
    "npz cut short": (cut, r"cannot be read as a case"),
    "npz with a flipped bit": (flip, r"cannot be read as a case"),
    "npz with objects": (pickled, r"cannot be read as a case"),
    "broken json": (write(".json", b'{"config": '), r"cannot be read as a case"),
    "json of bytes": (write(".json", b"\xff\xfe\x00"), r"cannot be read as a case"),
    "json of a list": (write(".json", b"[1, 2]"), r"case\.json holds a list, expected an object"),
    "a bare array": (bare_array, r"cannot be read as a case"),
    "no strides": (without("feat_res3"), r"is no golden case: feat_res3 missing"),
    "no classes": (without("classes"), r"is no golden case: classes missing"),
    "no image": (without("image"), r"is no golden case: image missing"),
    "unknown config": (config("vit_huge"), r"config 'vit_huge' is no known model; name one with --model"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_end_in_one_line_and_exit_two(case: Path, mistake: str, capsys: pytest.CaptureFixture[str]) -> None:
    spoil, message = MISTAKES[mistake]
    (case.parent / "empty").mkdir()
    given = spoil(case)
    assert main([str(given)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert_matches(message, captured.err)


def assert_matches(pattern: str, text: str) -> None:
    with pytest.raises(ParityError, match=pattern):
        raise ParityError(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "fcclip-rn50"], "unknown model 'fcclip-rn50': did you mean 'fcclip-r50'"),
        (["--weights", "nowhere.pth"], "nowhere.pth"),
        (["--device", "tpu"], "unknown device 'tpu'"),
        (["--optimize", "--dtype", "fp8"], "unknown dtype 'fp8'"),
    ],
)
def test_mistaken_options(stored: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(stored), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_optimised_model_is_compared_too(
    stored: Path, demo_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [str(stored), "--weights", str(demo_weights), "--optimize"]
    assert main(options) == 0
    assert main([*options, "--dtype", "bf16"]) == 1  # 3e-3 of each number is more than rounding
    assert "FAIL" in capsys.readouterr().out


def test_threads_are_the_callers_to_choose(stored: Path, demo_weights: Path) -> None:
    before = torch.get_num_threads()
    try:
        assert main([str(stored), "--weights", str(demo_weights), "--threads", "1"]) == 0
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_the_pipeline_is_a_program(case: Path) -> None:
    assert pipeline.main is main
    case.with_suffix(".npz").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.parity", str(case)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("tolerance", "values", "admitted"),
    [
        (Tolerance(median=1.0), (1.0, 9.0, 9.0), True),
        (Tolerance(median=1.0), (1.1, 1.1, 1.1), False),
        (Tolerance(p95=1.0), (0.0, 1.1, 9.0), False),
        (Tolerance(maximum=0.0), (0.0, 0.0, 0.0), True),
        (Tolerance(maximum=0.0), (0.0, 0.0, 1e-12), False),
        (Tolerance(median=1.0, p95=2.0), (0.5, 3.0, 3.0), False),
        (Tolerance(p95=1.0), (np.nan, np.nan, np.nan), False),
    ],
)
def test_tolerances(tolerance: Tolerance, values: tuple[float, float, float], admitted: bool) -> None:
    assert tolerance.admits(*values) == admitted
