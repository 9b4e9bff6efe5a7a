"""``rsc train --until-settled``: look by look, decided strategies left out."""

import json

CONFIG = """\
name: settle
data: {source: digits, train_size: 200}
networks: [cifar-resnet-8]
shortcuts: [A, avg-pad, plain]
seeds: 3
train: {epochs: 1, batch_size: 64}
run: {precision: fp32, jobs: 1}
cost: {measure: false}
compare: {margin: 60.0, fail_above: 100}
"""


def test_training_ends_with_the_look_that_decides_everything(rsc):
    (rsc.folder / "settle.yaml").write_text(CONFIG)
    done = rsc("train", "settle.yaml", "--until-settled", "--max-seeds", "8")
    assert done.returncode == 0, done.stderr
    assert "to the look at 4 seeds: 12 runs" in done.stderr
    assert "every verdict is final; 12 of 24 planned runs not trained" in done.stderr
    verdicts = json.loads(rsc("compare", "settle", "--format", "json").stdout)["verdicts"]
    assert {row["shortcut"]: (row["verdict"], row.get("final"), row.get("look_seeds")) for row in verdicts} == {
        "stride-pad": ("baseline", None, None),
        "avg-pad": ("equivalent", "yes", 4),
        "plain": ("equivalent", "yes", 4),
    }
    again = rsc("train", "settle.yaml", "--until-settled", "--max-seeds", "8")
    assert "12 of 24 planned runs not trained" in again.stderr
    assert "trained" not in again.stderr.replace("not trained", "")


def test_the_older_rule_has_no_looks(rsc):
    (rsc.folder / "settle.yaml").write_text(CONFIG)
    done = rsc("train", "settle.yaml", "--until-settled", "--set", "compare.rule=paired-t")
    assert done.returncode == 2
    assert "looks are not sealed under compare.rule: paired-t" in done.stderr
