from pathlib import Path

import pytest

from training.evaluation.provenance import describe_knowledge, list_commands, name_recipe

TEACHER = {
    "file": "big.pth",
    "sha256": "cd34",
    "architecture": "tf_efficientnetv2_b0",
    "version": "1.0.0",
    "training": {"recipe": {"pretrained": True}, "split": "grouped", "manifest_sha256": "0a"},
}
DISTILLED = {"recipe": {"pretrained": False, "start_from_teacher": True}, "teachers": [TEACHER], "split": "grouped"}

FIRST = {**TEACHER, "file": "first.pth", "sha256": "9f", "architecture": "efficientnet_b0", "training": DISTILLED}
CONTINUED = {"recipe": {"pretrained": True}, "split": "grouped", "initial_weights": FIRST}


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        ({"recipe": {"pretrained": True}}, "ImageNet weights, those of efficientnet_b0 on timm's model hub"),
        ({"recipe": {"pretrained": True}, "sources": {"pretrained_file_sha256": "ab12"}}, "SHA-256 `ab12`"),
        ({"recipe": {"pretrained": False}}, "It started from random weights"),
        (DISTILLED, "It copied those of the first teacher's kernels that fit."),
        (DISTILLED, "the teacher `big.pth` (tf_efficientnetv2_b0 1.0.0), SHA-256 `cd34`."),
        (DISTILLED, "That teacher started from ImageNet weights, those of tf_efficientnetv2_b0"),
        (DISTILLED, "That teacher was trained on the same split."),
        ({**DISTILLED, "manifest_sha256": "0a"}, "That teacher was trained on the same scans."),
        (CONTINUED, "It continued from the checkpoint `first.pth` (efficientnet_b0 1.0.0), SHA-256 `9f`."),
        (CONTINUED, "That checkpoint was distilled from the teacher `big.pth`"),
        ({"teachers": [{**TEACHER, "training": {}}]}, "That teacher's card does not say how it was trained."),
        ({}, ""),
    ],
)
def test_it_says_how_imagenet_knowledge_entered(training, expected):
    sentences = describe_knowledge("efficientnet_b0", training)
    assert expected in " ".join(sentences)
    assert bool(sentences) == bool(training)


def test_a_recipe_is_named_with_its_epochs():
    assert name_recipe({"recipe": {"name": "mine", "stages": [{"epochs": 12}, {"epochs": 10}]}}) == "mine (22 epochs)"
    assert name_recipe({}) == "a recipe that their card does not name"


SOURCES = {"groups_sha256": "1", "boxes_sha256": "2"}
BIG = {"file": "efficientnetv2_b0_teacher.pth", "training": {"split": "grouped", "sources": SOURCES}}
STUDENT = {"split": "grouped", "sources": SOURCES, "teachers": [BIG]}


def test_a_command_names_every_file_that_was_learnt_from():
    files = ("groups", "boxes", "coarse", "pretrained_file", "initial_weights")
    training = {"split": "grouped", "sources": {f"{name}_sha256": "1" for name in files}}
    assert list_commands(training, "mine") == [
        "python -m training fit DIR --recipe mine --split grouped --groups groups.csv --boxes boxes.csv"
        " --coarse elsewhere.csv --pretrained-file imagenet.pth --initial-weights initial.pth"
    ]


def test_the_commands_begin_with_those_of_teachers():
    assert list_commands(STUDENT, "small") == [
        "python -m training fit DIR --recipe efficientnetv2_b0_teacher --split grouped --groups groups.csv"
        " --boxes boxes.csv",
        "python -m training fit DIR --recipe small --split grouped --groups groups.csv --boxes boxes.csv",
    ]


def test_runs_of_another_folder_learn_from_each_other():
    teacher = {"file": "big.pth", "training": {"sources": {"pretrained_file_sha256": "1"}}}
    assert list_commands({"split": "official", "teachers": [teacher]}, "small", Path("official")) == [
        "python -m training fit DIR --recipe big --split official --pretrained-file imagenet.pth --out official/big",
        "python -m training fit DIR --recipe small --split official"
        """ --teacher '["official/big/big.pth"]' --out official/small""",
    ]
