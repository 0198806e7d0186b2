import pytest

from training.errors import RecipeError
from training.recipe import Augmentation, Recipe, Stage, load_recipe, recipe_names


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


def test_a_recipe_takes_from_another_what_it_leaves_out():
    first = load_recipe("efficientnet_b0_distilled", {})
    further = load_recipe("efficientnet_b0_distilled_further", {})

    assert further.augmentation == first.augmentation
    assert further.teacher == first.teacher
    assert (further.name, further.start_from_teacher) == ("efficientnet_b0_distilled_further", False)
    assert further.stages != first.stages


def test_of_the_augmentation_a_recipe_may_change_single_values_of_another():
    further = load_recipe("efficientnet_b0_distilled_further", {}).augmentation
    final = load_recipe("efficientnet_b0_distilled_final", {}).augmentation
    assert final.rotation > further.rotation
    assert (final.horizontal_flip, final.shear) == (further.horizontal_flip, further.shear)


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


def test_an_unknown_recipe_is_refused_with_the_known_ones():
    with pytest.raises(RecipeError, match=r"efficientnet_b0.*'b0'"):
        load_recipe("b0", {})


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
