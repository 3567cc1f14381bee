"""Training runs, from samples to checkpoints and merged models."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from langchain_core.messages import HumanMessage
from safetensors.torch import load_file, save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from langchain_videochat.embed import VideoChatEmbed, VideoChatEmbedForConditionalGeneration, load_model
from langchain_videochat.errors import InputError, ModelError, SourceError
from langchain_videochat.training import CaptionFile, TrainingReport, merge, preview, train
from langchain_videochat.training.trainer import LOGS
from tests.tiny_training import BROKEN, VIDEOS, make_config, make_samples, without_dropout, write_json
from tests.tiny_videochat import SIZE, tiny_videochat

INTERFACE = ("gmhra", "vision_layernorm", "extra_query_tokens", "language_projection")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_samples(tmp_path_factory.mktemp("samples"))


@pytest.fixture(scope="module")
def aligned(folder: Path) -> Path:
    """The output of stage 1."""
    train(make_config(folder, folder / "aligned"), show_progress=False)
    return folder / "aligned"


@pytest.fixture(scope="module")
def untrained(folder: Path) -> Path:
    """A model whose token interface is initialized as by `videochat convert`."""
    model, processor = load_model(folder / "model", device="cpu", show_progress=False)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if name.endswith(("extra_query_tokens", "c_proj.weight", "out_proj.weight")) and "self_attn" not in name:
                weights.zero_()
    model.save_pretrained(folder / "untrained")
    processor.save_pretrained(folder / "untrained")
    return folder / "untrained"


def saved(output: Path) -> dict[str, torch.Tensor]:
    (file,) = output.glob("checkpoints/*/trained.safetensors")
    return load_file(file)


def weights_of(model: Path) -> dict[str, torch.Tensor]:
    return load_file(model / "model.safetensors")


def run(folder: Path, output: Path, **changes: Any) -> TrainingReport:
    return train(make_config(folder, output, **changes), show_progress=False)


def test_only_the_interface_is_trained_and_saved(folder: Path, aligned: Path) -> None:
    weights, before = saved(aligned), weights_of(folder / "model")
    assert {part for part in INTERFACE if any(part in name for name in weights)} == set(INTERFACE)
    assert all(any(part in name for part in INTERFACE) for name in weights)
    changed = {name for name, value in weights.items() if not torch.equal(value, before[name])}
    assert changed == set(weights)


def test_parts_after_the_tower_can_be_trained_first(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "language", trainable="language")
    weights, before = saved(tmp_path / "language"), weights_of(folder / "model")
    assert weights.keys() == {name for name in before if not name.startswith("vision_tower.")}
    changes: dict[str, Any] = {"init_from": tmp_path / "language", "trainable": "interface", "learning_rate": 1e-9}
    run(folder, tmp_path / "after", **changes)
    after = saved(tmp_path / "after")
    assert after.keys() > weights.keys()
    assert all(torch.allclose(after[name], value, atol=1e-6) for name, value in weights.items())


@pytest.mark.parametrize(
    "changes",
    [
        {"trainable": "all", "learning_rate": 0.001},
        {"trainable": "interface+lora"},
        {"trainable": "language"},
        {"num_workers": 2, "trainable": "all", "learning_rate": 0.001},
    ],
    ids=str,
)
def test_loss_falls(folder: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    fixed = {"steps": 10, "batch_size": VIDEOS + 3, "warmup_ratio": 0.0}
    report = run(folder, tmp_path / "run", **(fixed | changes))
    assert len(report.losses) == report.steps == 10
    assert report.losses[-1] < report.losses[0]
    assert report.losses[-1] == report.loss


def test_bf16_losses_are_close_to_fp32(folder: Path, tmp_path: Path) -> None:
    precise = run(folder, tmp_path / "fp32", num_frames=2, steps=8)
    short = run(folder, tmp_path / "bf16", num_frames=2, steps=8, precision="bf16", gradient_checkpointing=True)
    assert short.losses == pytest.approx(precise.losses, abs=0.02)
    assert {weights.dtype for weights in saved(tmp_path / "bf16").values()} == {torch.float32}


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_bf16_gradients_are_close_to_fp32(frames: int) -> None:
    # PyTorch's bf16 depthwise Conv3d computes entirely wrong weight gradients for two frames (see vision_tower.py).
    tower = tiny_videochat(local_mhra=2).vision_tower
    pixels = torch.rand(3, frames, 3, SIZE, SIZE)
    gradients = []
    for dtype in (torch.float32, torch.bfloat16):
        tower.zero_grad()
        with torch.autocast("cpu", dtype=dtype, enabled=dtype == torch.bfloat16):
            token = tower(pixels)[:, -1]
        token.float().square().sum().backward()
        gradients.append([weights.grad for name, weights in tower.named_parameters() if name.endswith("dpe.weight")])
    for precise, short in zip(*gradients, strict=True):
        assert precise is not None
        assert short is not None
        assert (short - precise).norm() < 0.2 * precise.norm()


def test_accumulation_and_checkpointing_do_not_change_losses(folder: Path, tmp_path: Path) -> None:
    settings: list[dict[str, Any]] = [{}, {"gradient_accumulation_steps": 4}, {"gradient_checkpointing": True}]
    model = str(without_dropout(folder / "model", tmp_path / "model"))
    reports = [run(folder, tmp_path / str(number), model=model, **changes) for number, changes in enumerate(settings)]
    for report in reports[1:]:
        assert report.losses == pytest.approx(reports[0].losses, abs=1e-5)


def test_resumed_run_equals_an_uninterrupted_one(folder: Path, aligned: Path, tmp_path: Path) -> None:
    class StopHereError(Exception):
        pass

    class Failing(list[Any]):
        """Samples that can be accessed a limited number of times."""

        left = 3 * 4

        def __getitem__(self, index: Any) -> Any:
            Failing.left -= 1
            if Failing.left < 0:
                raise StopHereError
            return super().__getitem__(index)

    captions = CaptionFile(folder / "captions.json", "video", num_frames=2)
    samples = [captions[index] for index in range(len(captions))]
    whole = train(make_config(folder, tmp_path / "whole", steps=5), {"video": samples}, show_progress=False)
    config = make_config(folder, tmp_path / "half", steps=5, save_steps=2)
    with pytest.raises(StopHereError):
        train(config, {"video": Failing(samples)}, show_progress=False)
    rest = train(config, {"video": samples}, resume=True, show_progress=False)
    assert rest.losses == pytest.approx(whole.losses[2:], abs=1e-6)
    assert all(torch.equal(value, saved(tmp_path / "half")[name]) for name, value in saved(tmp_path / "whole").items())
    again = train(config, {"video": samples}, resume=True, show_progress=False)
    assert (again.losses, again.loss, again.steps) == ((), rest.loss, 5)
    events = EventAccumulator(str(tmp_path / "half" / LOGS)).Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4, 5]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx(whole.losses, abs=1e-5)


def test_run_is_not_overwritten(folder: Path, aligned: Path) -> None:
    with pytest.raises(InputError, match="--resume"):
        run(folder, aligned)


def test_resume_rejects_a_changed_config_or_other_data(folder: Path, aligned: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^learning_rate: it was 0.01 when the run started and is now 0.02"):
        train(make_config(folder, aligned, learning_rate=0.02), resume=True, show_progress=False)
    shutil.copytree(aligned, tmp_path / "run")
    file = write_json(tmp_path / "captions.json", [{"video": "0.mp4", "caption": "a"}])
    config = make_config(folder, tmp_path / "two", data=[{"file": file, "root": folder}], batch_size=1)
    train(config, show_progress=False)
    write_json(file, [{"video": "0.mp4", "caption": "a"}] * 2)
    with pytest.raises(InputError, match=r"it had {'video': 1} samples when the run started"):
        train(config, resume=True, show_progress=False)


def test_stage_2_needs_stage_1(folder: Path, untrained: Path, aligned: Path, tmp_path: Path) -> None:
    stage2: dict[str, Any] = {"stage": 2, "model": str(untrained), "data": [{"file": folder / "conversations.json"}]}
    with pytest.raises(InputError, match=r"^init_from: stage 2 needs the weights of stage 1"):
        run(folder, tmp_path / "run", **stage2)
    with pytest.raises(InputError, match=r"^init_from: .* has no checkpoint"):
        run(folder, tmp_path / "run", **stage2, init_from=tmp_path)
    report = run(folder, tmp_path / "run", **stage2, init_from=aligned, learning_rate=1e-30)
    assert report.steps == 4
    for name, value in saved(aligned).items():
        assert torch.allclose(value, saved(tmp_path / "run")[name])


def test_initial_weights_of_another_model_are_rejected(folder: Path, aligned: Path, tmp_path: Path) -> None:
    shutil.copytree(aligned, tmp_path / "start")
    (file,) = (tmp_path / "start").glob("checkpoints/*/trained.safetensors")
    weights = load_file(file)
    whole = dict(weights)
    missing = weights.pop("extra_query_tokens")
    save_file(weights, file)
    with pytest.raises(ModelError, match="lacks weights of the model, such as extra_query_tokens"):
        run(folder, tmp_path / "run", init_from=tmp_path / "start")
    save_file(whole | {"extra_query_tokens": missing[:, :1].contiguous()}, file)
    with pytest.raises(ModelError, match="extra_query_tokens has shape"):
        run(folder, tmp_path / "run", init_from=tmp_path / "start")
    save_file(whole | {"more": missing.clone()}, file)
    with pytest.raises(ModelError, match="not in the model, such as more"):
        run(folder, tmp_path / "run", init_from=tmp_path / "start")


def test_next_stage_keeps_weights_of_the_previous_one(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "one", trainable="all", steps=2)
    run(folder, tmp_path / "two", init_from=tmp_path / "one", steps=2)
    one, two = saved(tmp_path / "one"), saved(tmp_path / "two")
    assert one.keys() == two.keys()
    assert torch.equal(one["query_tokens"], two["query_tokens"])
    assert not torch.equal(one["extra_query_tokens"], two["extra_query_tokens"])


def test_running_statistics_of_local_mhra_are_saved(folder: Path, tmp_path: Path) -> None:
    model, processor = load_model(folder / "model", device="cpu", show_progress=False)
    model.config.local_mhra = 1
    VideoChatEmbedForConditionalGeneration(model.config).save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    run(folder, tmp_path / "run", model=str(tmp_path / "model"))
    (name, *_) = (name for name in saved(tmp_path / "run") if name.endswith("local_mhra.0.norm.running_mean"))
    assert saved(tmp_path / "run")[name].abs().sum() > 0


def test_broken_videos_are_counted(folder: Path, tmp_path: Path) -> None:
    entries = [{"video": name, "caption": "a"} for name in ("0.mp4", BROKEN)]
    file = write_json(tmp_path / "some.json", entries)
    report = run(folder, tmp_path / "run", data=[{"file": file, "root": folder}], batch_size=2, steps=3)
    assert report.skipped == 3
    assert "3 samples could not be read" in str(report)


def test_loss_that_is_not_finite_stops_the_run_and_names_files(folder: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"learning_rate": 1e30, "warmup_ratio": 0, "steps": 9, "save_steps": 1, "batch_size": 1}
    with pytest.raises(ModelError, match=r"^step 2: .* not finite; the batch contained \d\.(mp4|png)\. "):
        run(folder, tmp_path / "run", **changes)
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000001"]


@pytest.mark.parametrize(
    ("changes", "error", "problem"),
    [
        ({"data": []}, InputError, "no samples"),
        ({"data": [{"file": "nowhere.json"}]}, SourceError, r"nowhere\.json"),
        ({"gradient_accumulation_steps": 3}, InputError, "^batch_size: 4 is not divisible by 1 devices x 3 grad"),
    ],
)
def test_impossible_config_is_rejected(
    folder: Path, tmp_path: Path, changes: dict[str, Any], error: type[Exception], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        run(folder, tmp_path / "run", **changes)


def test_damaged_checkpoint_is_rejected(folder: Path, aligned: Path, tmp_path: Path) -> None:
    shutil.copytree(aligned, tmp_path / "run")
    (file,) = (tmp_path / "run").glob("checkpoints/*/trained.safetensors")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ModelError, match="this checkpoint is damaged"):
        merge(tmp_path / "run", tmp_path / "merged")


def test_merged_model_generates_the_trained_answer(folder: Path, tmp_path: Path) -> None:
    file = write_json(tmp_path / "one.json", [{"video": "0.mp4", "QA": [{"q": "What is it?", "a": "Squares."}]}])
    data = [{"file": file, "root": folder}]
    # In the paper's prompt style, only "###" ends an answer.
    report = run(folder, tmp_path / "run", stage=2, data=data, trainable="all", steps=60, batch_size=1, num_frames=8)
    assert report.loss < 0.05
    model = VideoChatEmbed(model=str(merge(tmp_path / "run", tmp_path / "merged")), device="cpu", max_tokens=50)
    video = {"type": "video", "url": (folder / "0.mp4").as_uri()}
    answer = model.invoke([HumanMessage([video, {"type": "text", "text": "What is it?"}])])
    assert str(answer.content).strip() == "Squares."
    assert answer.response_metadata["finish_reason"] == "stop"
    with pytest.raises(InputError, match="already exists"):
        merge(tmp_path / "run", tmp_path / "merged")


def test_checkpoint_of_another_version_is_rejected(folder: Path, aligned: Path, tmp_path: Path) -> None:
    shutil.copytree(aligned, tmp_path / "run")
    (file,) = (tmp_path / "run").glob("checkpoints/*/training.json")
    file.write_text(file.read_text().replace('"trainable"', '"trains"'))
    with pytest.raises(ModelError, match=r"saved by another version of langchain-videochat \(trains: extra"):
        train(make_config(folder, tmp_path / "run"), resume=True, show_progress=False)
    with pytest.raises(ModelError, match="start over with another output"):
        merge(tmp_path / "run", tmp_path / "merged")


def test_adapters_are_merged_into_the_weights(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "run", trainable="interface+lora")
    before, after = weights_of(folder / "model"), weights_of(merge(tmp_path / "run", tmp_path / "merged"))
    assert before.keys() == after.keys()
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert "language_model.model.layers.0.self_attn.q_proj.weight" in changed
    assert "language_model.lm_head.weight" not in changed
    assert not any("qformer" in name for name in changed)
    weights = saved(tmp_path / "run")
    layer = "language_model.model.layers.0.self_attn.q_proj"
    delta = weights[f"{layer}.lora_B.default.weight"] @ weights[f"{layer}.lora_A.default.weight"] * 2  # alpha / rank
    assert torch.allclose(after[f"{layer}.weight"], before[f"{layer}.weight"] + delta, atol=1e-6)


def test_preview_describes_the_run(folder: Path, tmp_path: Path) -> None:
    dry_run = preview(make_config(folder, tmp_path / "run"))
    model = VideoChatEmbedForConditionalGeneration.from_pretrained(folder / "model")
    model.freeze_pretrained()
    assert dry_run.parameters == model.num_parameters()
    assert dry_run.trainable == model.num_parameters(only_trainable=True)
    assert (dry_run.steps, dry_run.samples) == (4, {"image": 3, "video": VIDEOS})
    assert dry_run.epochs == pytest.approx(4 / 3)
    assert dry_run.memory["optimizer"] == 8 * dry_run.trainable
    assert "[4 visual tokens]" in dry_run.text
    assert "<|video|>" not in dry_run.text
    assert "###Assistant:« " in dry_run.text
    assert dry_run.text.count("###»") == 4
    assert not (tmp_path / "run").exists()
