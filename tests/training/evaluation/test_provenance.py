from pathlib import Path

import pytest

from training.evaluation.provenance import describe_knowledge, describe_runs, list_commands

TEACHER = {
    "file": "big.pth",
    "sha256": "cd34",
    "architecture": "tf_efficientnetv2_b0",
    "version": "1.0.0",
    "training": {"recipe": {"pretrained": True}, "split": "grouped", "manifest_sha256": "0a"},
}
DISTILLED = {"recipe": {"pretrained": False, "start_from_teacher": True}, "teachers": [TEACHER], "split": "grouped"}

FIRST = {**TEACHER, "file": "first.pth", "sha256": "9f", "architecture": "efficientnet_b0", "training": DISTILLED}
CONTINUED = {"recipe": {"pretrained": False}, "teachers": [TEACHER], "split": "grouped", "initial_weights": FIRST}


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        ({"recipe": {"pretrained": True}}, "b0's ImageNet weights, from timm's model hub"),
        ({"recipe": {"pretrained": True}, "sources": {"pretrained_file_sha256": "ab12"}}, "SHA-256 `ab12`"),
        ({"recipe": {"pretrained": False}}, "It started from random weights"),
        ({"recipe": {"pretrained": True}, "sources": {"initial_weights_sha256": "ef56"}}, "checkpoint of this project"),
        (DISTILLED, "It copied those of the first teacher's kernels that fit."),
        (DISTILLED, "the teacher `big.pth` (tf_efficientnetv2_b0 1.0.0), SHA-256 `cd34`."),
        (DISTILLED, "That teacher started from tf_efficientnetv2_b0's ImageNet weights"),
        (DISTILLED, "That teacher was trained on the same split."),
        ({**DISTILLED, "manifest_sha256": "0a"}, "That teacher was trained on the same scans."),
        (CONTINUED, "It continued from the checkpoint `first.pth` (efficientnet_b0 1.0.0), SHA-256 `9f`."),
        (CONTINUED, "That checkpoint was distilled from the teacher `big.pth`"),
        (CONTINUED, "It learned from the same teacher, SHA-256 `cd34`."),
        ({"teachers": [{**TEACHER, "training": {}}]}, "That teacher's card does not say how it was trained."),
        ({}, ""),
    ],
)
def test_it_says_how_imagenet_knowledge_entered(training, expected):
    sentences = describe_knowledge("efficientnet_b0", training)
    assert expected in " ".join(sentences)
    assert bool(sentences) == bool(training)


STAGES = [{"epochs": 12}, {"epochs": 10}]


def test_runs_are_named_one_after_the_other():
    first = {"recipe": {"name": "first", "stages": STAGES}}
    then = {"recipe": {"name": "then", "stages": STAGES[:1]}, "initial_weights": {"training": first}}
    assert describe_runs(then) == "first (22 epochs), then then (12 epochs)"
    assert describe_runs({}) == "a recipe that their card does not name"


SOURCES = {"groups_sha256": "1", "boxes_sha256": "2"}
BIG = {"file": "efficientnetv2_b0_teacher.pth", "training": {"split": "grouped", "sources": SOURCES}}
STUDENT = {"split": "grouped", "sources": SOURCES, "teachers": [BIG]}
SHIPPED = {**STUDENT, "initial_weights": {"file": "efficientnet_b0_distilled.pth", "training": STUDENT}}


def test_the_commands_begin_with_those_of_whom_it_learnt_from():
    assert list_commands(SHIPPED, "further") == [
        "python -m training fit DIR --recipe efficientnetv2_b0_teacher --split grouped --groups groups.csv"
        " --boxes boxes.csv",
        "python -m training fit DIR --recipe efficientnet_b0_distilled --split grouped --groups groups.csv"
        " --boxes boxes.csv",
        "python -m training fit DIR --recipe further --split grouped --groups groups.csv --boxes boxes.csv"
        " --initial-weights runs/efficientnet_b0_distilled/efficientnet_b0_distilled.pth",
    ]


def test_runs_of_another_folder_learn_from_each_other():
    teacher = {"file": "big.pth", "training": {"sources": {"pretrained_file_sha256": "1"}}}
    assert list_commands({"split": "official", "teachers": [teacher]}, "small", Path("official")) == [
        "python -m training fit DIR --recipe big --split official --pretrained-file imagenet.pth --out official/big",
        "python -m training fit DIR --recipe small --split official"
        """ --teacher '["official/big/big.pth"]' --out official/small""",
    ]
