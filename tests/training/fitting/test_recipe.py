import pytest

from training.errors import RecipeError
from training.fitting.recipe import Augmentation, Recipe, Stage, load_recipe, recipe_names


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


def test_the_scratch_recipe_needs_no_download_and_grows_its_images():
    recipe = load_recipe("efficientnet_b0_scratch", {})
    sizes = [stage.image_size for stage in recipe.stages]
    assert not recipe.pretrained
    assert sizes == sorted(sizes)
    assert len(sizes) > 1
    assert recipe.num_epochs > load_recipe("efficientnet_b0", {}).num_epochs
    assert recipe.preprocessing().input_size == 224


def test_a_recipe_takes_from_another_what_it_leaves_out():
    first = load_recipe("efficientnet_b0_distilled", {})
    further = load_recipe("efficientnet_b0_distilled_further", {})

    assert further.augmentation == first.augmentation
    assert further.teacher == first.teacher
    assert (further.name, further.start_from_teacher) == ("efficientnet_b0_distilled_further", False)
    assert further.stages != first.stages


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


def test_epochs_belong_to_stages_in_order():
    recipe = load_recipe(
        "efficientnet_b0", {"stages": [{"epochs": 2, "image_size": 64}, {"epochs": 1, "image_size": 96}]}
    )
    assert [recipe.stage_of(epoch).image_size for epoch in range(3)] == [64, 64, 96]
