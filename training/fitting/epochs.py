"""The epochs of a run: each trains, validates, and saves all that the next one depends on."""

import logging
import math
import time
from functools import partial
from pathlib import Path

import torch

from model.host.progress import Progress
from training.data.possible_labels import PossibleLabels
from training.errors import RunError
from training.fitting.progress import find_best_epoch, next_stage, remaining_pixels
from training.fitting.release import estimate_seconds
from training.fitting.run_data import RunData
from training.fitting.run_state import RunState, clone_weights, save_state
from training.learning.batch_picture import MAX_IMAGES, draw_batch
from training.learning.dataset import Loader, ScanDataset, create_loader, derive_seed, order_epoch
from training.learning.processes import Processes
from training.learning.trainer import Score, Trainer
from training.recipe import Recipe, Stage
from training.run import FIGURES_FOLDER, EpochResult
from training.tracking.tracker import Trackers

STATE_FILE = "last.pt"

logger = logging.getLogger(__name__)


class EpochRunner:
    """Trains by a recipe from wherever a run is."""

    def __init__(self, recipe: Recipe, data: RunData, trainer: Trainer, processes: Processes, num_workers: int) -> None:
        """Prepare to run epochs; `num_workers` processes augment the images."""
        self._release_seconds = estimate_seconds(trainer.network, recipe, data) if processes.is_main else 0.0
        self._recipe = recipe
        self._data = data
        self._trainer = trainer
        self._processes = processes
        self._load = partial(create_loader, num_workers=num_workers, processes=processes, device=trainer.device)

    def run(self, state: RunState, out: Path, trackers: Trackers | None) -> RunState:
        """Run the epochs that `state` lacks; where there are trackers, save and record each in `out`.

        Raises:
            RunError: If the loss is no longer finite; the state is then that of the epoch before.
        """
        stage_index: int | None = None
        history = state.history
        start, pixels_done = time.monotonic(), 0
        while (index := next_stage(self._recipe, history)) is not None:
            stage = self._recipe.stages[index]
            if stage_index != index:
                self._trainer.enter_stage(stage, is_new=all(result.stage != index + 1 for result in history))
                training, validation = self._create_datasets(stage)
                stage_index = index
                if trackers is not None and not history:
                    self._show_first_batch(training, out / FIGURES_FOLDER / "first_batch.png", trackers)
            result = self._run_epoch(training, validation, len(history), index)
            if not math.isfinite(result.train_loss + (result.validation_loss or 0)):
                raise RunError(f"epoch {result.epoch}: the loss is not finite; try a lower --learning-rate")
            history = (*history, result)
            state = self._advance(state, history)
            if trackers is not None:
                save_state(out / STATE_FILE, state, self._recipe, self._data)
                trackers.write(result)
            pixels_done += stage.image_size**2
            if self._processes.is_main:
                pixels_left = remaining_pixels(self._recipe, history)
                seconds_left = (time.monotonic() - start) * pixels_left / pixels_done + self._release_seconds
                self._log(result, state.best_epoch, seconds_left)
        return state

    def _advance(self, state: RunState, history: tuple[EpochResult, ...]) -> RunState:
        best_epoch = find_best_epoch(self._recipe, history)
        is_best = best_epoch == history[-1].epoch
        best_weights = clone_weights(self._trainer.network) if is_best else state.best_weights
        return RunState(self._trainer.state(), best_weights, best_epoch, history, state.sources)

    def _create_datasets(self, stage: Stage) -> tuple[ScanDataset, ScanDataset]:
        recipe, data = self._recipe, self._data
        preprocessing = recipe.preprocessing(stage)
        possible = PossibleLabels.of(data.splits.classes, recipe.class_kinds)
        boxes = data.boxes if recipe.location_weight else None
        training = ScanDataset(data.part("train"), preprocessing, possible, recipe.augmentation, boxes, recipe.seed)
        return training, ScanDataset(data.part("validation"), preprocessing, possible)

    def _show_first_batch(self, training: ScanDataset, path: Path, trackers: Trackers) -> None:
        keys = order_epoch(len(training), self._recipe.batch_size, 0, self._recipe.seed)
        samples = [training[key] for key in keys[: min(self._recipe.batch_size, MAX_IMAGES)]]
        draw_batch(samples, self._data.splits.classes, path)
        trackers.show(path.stem, path, epoch=1)

    def _run_epoch(self, training: ScanDataset, validation: ScanDataset, epoch: int, stage_index: int) -> EpochResult:
        start, recipe, trainer = time.monotonic(), self._recipe, self._trainer
        torch.manual_seed(derive_seed(recipe.seed, epoch, self._processes.rank))  # dropout
        image_size = recipe.stages[stage_index].image_size
        score = self._train(training, epoch, image_size)
        rate = trainer.learning_rate
        validated: Score | None = None
        if len(validation):
            loader = self._load(validation, 2 * recipe.batch_size, epoch, shuffle_seed=None)
            with self._show(loader, f"validating epoch {epoch + 1}", leave=False) as bar:
                validated = trainer.validate(bar)
            trainer.end_epoch(validated.loss)
        return EpochResult(
            epoch=epoch + 1,
            stage=stage_index + 1,
            image_size=image_size,
            learning_rate=rate,
            train_loss=score.loss,
            train_accuracy=score.accuracy,
            validation_loss=None if validated is None else validated.loss,
            validation_accuracy=None if validated is None else validated.accuracy,
            seconds=round(time.monotonic() - start, 3),
        )

    def _train(self, training: ScanDataset, epoch: int, image_size: int) -> Score:
        loader = self._load(training, self._recipe.batch_size, epoch, shuffle_seed=self._recipe.seed)
        score = Score(float("nan"), float("nan"))
        title = f"epoch {epoch + 1}/{self._recipe.num_epochs} {image_size} px"
        with self._show(loader, title) as bar:
            for score in self._trainer.train(bar, epoch, len(loader)):
                bar.set_postfix(loss=f"{score.loss:.4f}", accuracy=f"{score.accuracy:.4f}", refresh=False)
        return score

    def _show(self, loader: Loader, title: str, *, leave: bool = True) -> Progress:
        return Progress(loader, title, len(loader), unit="batch", leave=leave, disable=not self._processes.is_main)

    def _log(self, result: EpochResult, best_epoch: int, remaining_seconds: float) -> None:
        validated = ""
        if result.validation_loss is not None:
            validated = f", validation loss {result.validation_loss:.4f} accuracy {result.validation_accuracy:.4f}"
        logger.info(
            "epoch %d/%d (%d px, rate %.2e): training loss %.4f accuracy %.4f%s%s; %.0f s, about %.0f min to go",
            result.epoch,
            self._recipe.num_epochs,
            result.image_size,
            result.learning_rate,
            result.train_loss,
            result.train_accuracy,
            validated,
            " (kept)" if best_epoch == result.epoch else "",
            result.seconds,
            remaining_seconds / 60,
        )
