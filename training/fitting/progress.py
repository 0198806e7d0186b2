"""Position of a run among the stages of its recipe, read from its epochs."""

from collections.abc import Sequence

from training.recipe import Recipe
from training.run import EpochResult


def next_stage(recipe: Recipe, history: Sequence[EpochResult]) -> int | None:
    """Find the stage of the next epoch, counted from 0; None where the run is complete.

    A stage ends after its epochs, or after as many without a lower validation loss as its early stopping bears.
    """
    if not history:
        return 0
    index = history[-1].stage - 1
    stage = recipe.stages[index]
    done = [result for result in history if result.stage == index + 1]
    losses = [result.validation_loss for result in done if result.validation_loss is not None]
    patience = recipe.schedule_of(stage).early_stopping_patience
    stopped = bool(patience) and len(losses) - 1 - losses.index(min(losses)) >= patience
    following = index + 1 if stopped or len(done) >= stage.epochs else index
    return following if following < len(recipe.stages) else None


def is_extended(started: Recipe, recipe: Recipe) -> bool:
    """Whether a recipe is the one that a run was started with, but for more epochs in the last stage."""
    last, before = recipe.stages[-1], started.stages[-1]
    shortened = (*recipe.stages[:-1], last.model_copy(update={"epochs": before.epochs}))
    return last.epochs > before.epochs and recipe.model_copy(update={"stages": shortened}) == started


def find_best_epoch(recipe: Recipe, history: Sequence[EpochResult]) -> int:
    """Find the epoch whose weights are kept, counted from 1: the lowest validation loss at the size to be served.

    Before that size is reached, and where the validation part is trained on, it is the last.
    """
    if recipe.learn_validation:
        return history[-1].epoch
    served_size = recipe.stages[-1].image_size
    losses = {
        result.epoch: result.validation_loss
        for result in history
        if result.image_size == served_size and result.validation_loss is not None
    }
    return min(losses, key=losses.__getitem__, default=history[-1].epoch)


def remaining_pixels(recipe: Recipe, history: Sequence[EpochResult]) -> int:
    """Sum the pixels of an image over the epochs that may be left, to which the remaining time is proportional."""
    index = next_stage(recipe, history)
    if index is None:
        return 0
    num_done = sum(result.stage == index + 1 for result in history)
    epochs = [recipe.stages[index].epochs - num_done, *(stage.epochs for stage in recipe.stages[index + 1 :])]
    return sum(count * stage.image_size**2 for count, stage in zip(epochs, recipe.stages[index:], strict=True))
