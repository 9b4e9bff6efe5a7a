"""What is sealed before the first look, and what later trainings can change of it."""

from pathlib import Path
from typing import Any

import pytest

from resnet_shortcuts.config.experiment_config import load_config
from resnet_shortcuts.errors import SettingError
from resnet_shortcuts.experiments.plan import Plan, SealedVerdicts, make_plan
from resnet_shortcuts.experiments.sealing import keep_seal, seal_of
from resnet_shortcuts.experiments.store import Experiment
from resnet_shortcuts.experiments.verdict_seal import VerdictSeal

TEXT = """\
name: mine
data: {source: digits, train_size: 300}
networks: [cifar-resnet-8]
shortcuts: [plain, A, max-pad, exclusive-gate]
seeds: 10
train: {epochs: 3, batch_size: 64}
"""
DATA: dict[str, Any] = {"content": "ab" * 32, "train_size": 300, "test_size": 797, "validation": 0, "resolution": 8}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT)
    return path


def sealed(path: Path, *overrides: str, test_images: int = 797) -> VerdictSeal | None:
    return seal_of(load_config(path, overrides), "stride-pad", 10, test_images)


def planned(path: Path, *overrides: str) -> Plan:
    plan = make_plan(load_config(path, overrides), DATA, "fp32")
    seal = sealed(path, *overrides)
    return plan if seal is None else plan.model_copy(update={"verdicts": SealedVerdicts(families=(seal,))})


def stored(path: Path, plan: Plan, seeds: int, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """The experiment of this plan, its runs of the first seeds finished."""
    experiment = Experiment.create(path.parent / "results", load_config(path), plan)
    done = {run.run_id for run in plan.runs if run.seed < seeds}
    monkeypatch.setattr(Experiment, "finished", lambda self, run_id: run_id in done)
    return experiment


def test_the_seal_holds_what_the_config_fixes(path: Path) -> None:
    seal = sealed(path)
    assert seal is not None
    assert seal.seeds == tuple(range(10))
    assert seal.looks == (4, 7, 10)
    assert (seal.margin, seal.baseline, seal.networks) == (0.2, "stride-pad", ("cifar-resnet-8",))
    assert seal.strategies == ("plain", "max-pad", "exclusive-gate")
    assert seal.own_variance == ("plain", "exclusive-gate")
    assert (seal.classes, seal.test_images) == (10, 797)


@pytest.mark.parametrize(("overrides", "seeds", "looks"), [
    (["compare.max_seeds=20"], tuple(range(20)), (8, 14, 20)),
    (["compare.max_seeds=8"], tuple(range(8)), (4, 6, 8)),
    (["seeds=[3, 5]", "compare.max_seeds=4"], (3, 5, 0, 1), (4,)),
    (["seeds=2"], (0, 1), ()),
    (["compare.looks=[5, 10]"], tuple(range(10)), (5, 10)),
])  # fmt: skip
def test_seeds_and_looks(path: Path, overrides: list[str], seeds: tuple[int, ...], looks: tuple[int, ...]) -> None:
    seal = sealed(path, *overrides)
    assert seal is not None
    assert (seal.seeds, seal.looks) == (seeds, looks)


def test_looks_that_do_not_end_with_all_seeds_are_refused(path: Path) -> None:
    with pytest.raises(SettingError, match="the last look must use all seeds"):
        sealed(path, "compare.looks=[5, 9]")


def test_a_margin_is_at_least_the_weight_of_one_test_image(path: Path) -> None:
    seal = sealed(path, test_images=100)
    assert seal is not None
    assert seal.margin == 1


def test_the_older_rule_and_a_lone_strategy_seal_nothing(path: Path) -> None:
    assert sealed(path, "compare.rule=paired-t") is None
    assert sealed(path, "shortcuts=[A]") is None


def test_a_plan_keeps_its_seal_and_any_change_to_it_is_noticed(path: Path) -> None:
    plan = planned(path)
    assert Plan.from_json(plan.to_json()).verdicts == plan.verdicts
    with pytest.raises(Exception, match="hash"):
        Plan.from_json(plan.to_json().replace('"margin": 0.2', '"margin": 0.9').replace('"margin":0.2', '"margin":0.9'))


def test_verdict_settings_are_no_part_of_a_runs_id(path: Path) -> None:
    ids = [[run.run_id for run in planned(path, *some).runs] for some in ([], ["compare.max_seeds=30"])]
    assert ids[0] == ids[1]


def test_before_the_first_look_settings_can_change(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = stored(path, planned(path), 3, monkeypatch)
    changed = planned(path, "compare.margin=0.5", "compare.max_seeds=20")
    assert keep_seal(changed, experiment) == (changed, "")


def test_after_the_first_look_the_stored_settings_stay(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = planned(path)
    experiment = stored(path, before, 4, monkeypatch)
    kept, note = keep_seal(planned(path, "compare.margin=0.5", "seeds=20"), experiment)
    assert kept.verdicts == before.verdicts
    assert len(kept.runs) == 80
    assert "as sealed before the first look: up to 10 seeds, margin 0.2" in note
    assert keep_seal(before, experiment) == (before, "")


def test_what_is_added_after_the_first_look_is_a_family_of_its_own(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = planned(path)
    experiment = stored(path, before, 10, monkeypatch)
    more = ["shortcuts=[plain, A, max-pad, exclusive-gate, B]", "networks=[cifar-resnet-8, cifar-resnet-14]"]
    kept, note = keep_seal(planned(path, *more), experiment)
    assert kept.verdicts is not None
    assert before.verdicts is not None
    first, *added = kept.verdicts.families
    assert first == before.verdicts.families[0]
    assert sorted(cell for seal in added for cell in seal.cells()) == sorted(
        [(network, "default", "projection") for network in ("cifar-resnet-8", "cifar-resnet-14")]
        + [("cifar-resnet-14", "default", name) for name in ("plain", "max-pad", "exclusive-gate")]
    )
    assert "a family of its own" in note
    assert Plan.from_json(kept.to_json()).verdicts == kept.verdicts


def test_recorded_verdicts_of_the_older_rule_keep_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = planned(path, "compare.rule=paired-t")
    experiment = stored(path, old, 10, monkeypatch)
    new = planned(path)
    assert keep_seal(new, experiment) == (new, "")  # no verdict was recorded
    (experiment.folder / "table.csv").write_text("")
    kept, note = keep_seal(new, experiment)
    assert kept.verdicts is None
    assert "compare.rule: paired-t" in note
