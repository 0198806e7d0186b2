from collections.abc import Sequence

from training.fitting.progress import find_best_epoch, next_stage, remaining_pixels
from training.recipe_files import load_recipe
from training.run import EpochResult

RECIPE = load_recipe(
    "efficientnet_b0",
    {
        "stages": [
            {"epochs": 2, "image_size": 64},
            {"epochs": 5, "image_size": 96, "early_stopping_patience": 2},
            {"epochs": 2, "image_size": 128},
        ]
    },
)


def _run(*stages: Sequence[float | None]) -> list[EpochResult]:
    """Epochs of stages with these validation losses."""
    losses = [(index, loss) for index, losses in enumerate(stages) for loss in losses]
    return [
        EpochResult(epoch, index + 1, RECIPE.stages[index].image_size, 1e-3, 1.0, 0.5, loss, 0.5, 1.0)
        for epoch, (index, loss) in enumerate(losses, start=1)
    ]


def test_a_stage_ends_after_its_epochs():
    assert [next_stage(RECIPE, _run([1.0] * count)) for count in range(3)] == [0, 0, 1]
    assert next_stage(RECIPE, _run([1, 1], [5, 4, 3, 2])) == 1
    assert next_stage(RECIPE, _run([1, 1], [5, 4, 3, 2, 1])) == 2


def test_a_stage_ends_early_without_a_lower_loss_of_its_own():
    assert next_stage(RECIPE, _run([1, 1], [5, 4, 4])) == 1
    assert next_stage(RECIPE, _run([1, 1], [5, 4, 4, 6])) == 2  # the first stage's 1 does not count


def test_after_the_last_stage_there_is_none():
    history = _run([1, 1], [5, 6, 7], [1, 1])
    assert next_stage(RECIPE, history) is None
    assert remaining_pixels(RECIPE, history) == 0


def test_what_may_remain_is_the_rest_of_all_stages():
    assert remaining_pixels(RECIPE, _run([1])) == 64**2 + 5 * 96**2 + 2 * 128**2
    assert remaining_pixels(RECIPE, _run([1, 1], [5, 4])) == 3 * 96**2 + 2 * 128**2


def test_a_lower_loss_at_another_size_than_the_served_one_is_not_kept():
    assert find_best_epoch(RECIPE, _run([1])) == 1
    assert find_best_epoch(RECIPE, _run([1, 2])) == 2
    assert find_best_epoch(RECIPE, _run([1, 2], [1], [4])) == 4
    assert find_best_epoch(RECIPE, _run([1, 2], [1], [4, 5])) == 4
    assert find_best_epoch(RECIPE, _run([1, 2], [1], [4, 3])) == 5
    learning = load_recipe("efficientnet_b0_coarse", {})  # what is left to validate is from elsewhere
    assert find_best_epoch(learning, _run([1, 2], [1], [4, 5])) == 5


def test_without_validation_the_last_epoch_is_kept_and_stages_end_after_their_epochs():
    history = _run([None] * 2, [None] * 5, [None])
    assert [find_best_epoch(RECIPE, history[:count]) for count in range(1, 9)] == list(range(1, 9))
    assert [next_stage(RECIPE, history[:count]) for count in (1, 2, 8)] == [0, 1, 2]
