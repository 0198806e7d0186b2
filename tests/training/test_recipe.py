import pytest

from training.errors import RecipeError
from training.recipe import Augmentation, Recipe, Stage, change_recipe
from training.recipe_files import load_recipe, recipe_names


def test_the_reference_recipe_is_the_published_one():
    recipe = load_recipe("efficientnet_b0", {})
    assert recipe.architecture == "efficientnet_b0"
    assert recipe.pretrained
    assert (recipe.learning_rate, recipe.weight_decay) == (1e-3, 0.01)
    assert recipe.stages == (Stage(epochs=15, image_size=224),)
    assert 32 <= recipe.batch_size <= 64
    assert recipe.schedule == "reduce_on_plateau"
    assert recipe.augmentation == Augmentation(horizontal_flip=0.5, rotation=15, translation=0.05)
    assert recipe.label_smoothing == recipe.dropout == 0


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_valid_and_sees_grey(name):
    recipe = load_recipe(name, {})
    assert recipe.name == name
    assert recipe.color == "grey"
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


def test_single_values_can_be_changed():
    changes = {"learning_rate": 0.5, "augmentation.rotation": 3, "stages": [{"epochs": 2, "image_size": 64}]}
    recipe = load_recipe("efficientnet_b0", changes)
    assert recipe.learning_rate == 0.5
    assert recipe.augmentation == Augmentation(horizontal_flip=0.5, rotation=3, translation=0.05)
    assert recipe.num_epochs == 2


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"learning_rate": -1}, "learning_rate"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"stages": []}, "stages"),
        ({"stages": [{"epochs": 0, "image_size": 64}]}, r"stages\.0\.epochs"),
        ({"augmentation.rotation": 500}, r"augmentation\.rotation"),
        ({"momentum": 0.9}, "momentum"),
    ],
)
def test_a_bad_value_is_named(changes, named):
    with pytest.raises(RecipeError, match=named):
        load_recipe("efficientnet_b0", changes)


def test_a_cosine_bears_no_schedule_of_stages():
    for changes in (
        {"early_stopping_patience": 3},
        {"stages": [{"epochs": 1, "image_size": 64, "learning_rate": 1e-4}]},
    ):
        with pytest.raises(RecipeError, match="cosine"):
            load_recipe("efficientnet_b0_scratch", changes)


def test_what_waits_for_the_validation_loss_needs_a_validation_part():
    assert load_recipe("efficientnet_b0_scratch", {"learn_validation": True}).learn_validation
    for changes in ({"schedule": "reduce_on_plateau"}, {"schedule": "constant", "early_stopping_patience": 3}):
        with pytest.raises(RecipeError, match="learn_validation"):
            load_recipe("efficientnet_b0_scratch", {**changes, "learn_validation": True})


def test_values_that_do_not_go_together_are_named_without_the_rest_of_the_recipe():
    with pytest.raises(RecipeError, match=r"^recipe: location_weight needs a classifier without hidden_units$"):
        load_recipe("efficientnet_b3", {"location_weight": 0.1})


@pytest.mark.parametrize("name", ["efficientnet_b0", "resnet50v2_two_stage", "efficientnet_b3"])
def test_each_system_that_starts_from_imagenet_has_a_variant_that_does_not(name):
    reference, scratch = load_recipe(name, {}), load_recipe(f"{name}_scratch", {})
    assert reference.pretrained
    assert not scratch.pretrained
    assert (scratch.architecture, scratch.head) == (reference.architecture, reference.head)
    assert scratch.preprocessing() == reference.preprocessing()
    assert all(stage.trained_layers is None for stage in scratch.stages)


@pytest.mark.parametrize("name", recipe_names())
def test_epochs_are_those_of_all_stages_and_an_extended_recipe_begins_as_it_was(name):
    recipe = load_recipe(name, {})
    stages, total = recipe.stages, recipe.num_epochs
    for epochs in (len(stages), (len(stages) + total) // 2, total, total + 7):
        changed = change_recipe(recipe, {"epochs": epochs})
        assert changed.num_epochs == epochs
        assert all(after.epochs <= before.epochs for after, before in zip(changed.stages[:-1], stages, strict=False))
        assert changed.model_copy(update={"stages": stages}) == recipe
    assert changed.stages[:-1] == stages[:-1]
    assert changed.stages[-1] == stages[-1].model_copy(update={"epochs": stages[-1].epochs + 7})
    with pytest.raises(RecipeError, match=f"at least {len(stages)}"):
        change_recipe(recipe, {"epochs": len(stages) - 1})


@pytest.mark.parametrize("name", recipe_names())
def test_the_image_size_is_the_last_stages_and_the_others_keep_their_proportion(name):
    recipe = load_recipe(name, {})
    for size in (64, 512):
        changed = change_recipe(recipe, {"image_size": size})
        assert changed.preprocessing().input_size == size
        for after, before in zip(changed.stages, recipe.stages, strict=True):
            wanted = max(32, before.image_size * size / recipe.stages[-1].image_size)
            assert after.image_size == pytest.approx(wanted, abs=0.5)
    with pytest.raises(RecipeError, match="image_size"):
        change_recipe(recipe, {"image_size": 31})
