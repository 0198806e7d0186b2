import pytest

from training.errors import RecipeError
from training.recipe import Augmentation, Recipe, Stage, change_recipe, load_recipe, recipe_names
from training.recipe_options import format_recipe


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
    first = load_recipe("resnet50v2_two_stage", {})
    scratch = load_recipe("resnet50v2_two_stage_scratch", {})
    assert scratch.augmentation == first.augmentation
    assert scratch.hidden_units == first.hidden_units
    assert (scratch.name, scratch.pretrained) == ("resnet50v2_two_stage_scratch", False)
    assert scratch.stages != first.stages


def test_of_the_augmentation_a_recipe_may_change_single_values_of_another(tmp_path):
    (tmp_path / "mine.toml").write_text('extends = "efficientnet_b3"\n[augmentation]\nrotation = 45.0\n')
    first, mine = (load_recipe(name, {}).augmentation for name in ("efficientnet_b3", str(tmp_path / "mine.toml")))
    assert mine == first.model_copy(update={"rotation": 45.0})


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


def test_a_file_of_ones_own_is_a_recipe_and_may_extend_ours_or_another_file(tmp_path):
    (tmp_path / "my-base.toml").write_text('extends = "efficientnet_b3"\nbatch_size = 8\n[augmentation]\nshear = 3.0')
    (tmp_path / "mine.toml").write_text('extends = "my-base.toml"\nlearning_rate = 0.5')
    base, mine = (load_recipe(str(tmp_path / name), {}) for name in ("my-base.toml", "mine.toml"))
    shipped = load_recipe("efficientnet_b3", {})
    assert (base.name, mine.name) == ("my_base", "mine")
    assert base == shipped.model_copy(
        update={
            "name": "my_base",
            "batch_size": 8,
            "augmentation": shipped.augmentation.model_copy(update={"shear": 3.0}),
        }
    )
    assert mine == base.model_copy(update={"name": "mine", "learning_rate": 0.5})


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (None, "No such file"),
        (b"learning_rate = ", "Invalid value"),
        (b"\xff\xfe", "utf-8"),
        (b'extends = "mine.toml"', "extends itself"),
        (b'extends = "efficientnetb0"', "did you mean efficientnet_b0"),
        (b"lerning_rate = 1", r"lerning_rate: .*did you mean learning_rate\?"),
        (b"[[stages]]\nepochs = 3\nimagesize = 64", r"stages\.0\.imagesize: .*did you mean image_size\?"),
        (b"[augmentation]\nrotaton = 3", r"augmentation\.rotaton: .*did you mean rotation\?"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_in_one_line_with_the_nearest_right_name(tmp_path, content, named):
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(b'extends = "efficientnet_b0"\n' * (b"extends" not in content) + content)
    with pytest.raises(RecipeError, match=named) as caught:
        load_recipe(str(path), {})
    assert "\n" not in str(caught.value)


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
def test_a_recipe_that_is_shown_is_a_file_of_the_same_recipe(name, tmp_path):
    changes = {"class_map": {"glioma (III)": "a.b", 'say "x"': "c"}, "max_gradient_norm": 2.5}
    recipe = load_recipe(name, changes)
    (tmp_path / f"{name}.toml").write_text(format_recipe(recipe), encoding="utf-8")
    assert load_recipe(str(tmp_path / f"{name}.toml"), {}) == recipe


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
