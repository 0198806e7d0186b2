import pytest

from training.errors import RecipeError
from training.recipe_files import format_recipe, list_changes, load_recipe, recipe_names


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


def test_an_unknown_recipe_is_refused_with_the_known_ones():
    with pytest.raises(RecipeError, match=r"efficientnet_b0.*'b0'"):
        load_recipe("b0", {})


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
def test_a_recipe_that_is_shown_is_a_file_of_the_same_recipe(name, tmp_path):
    changes = {"class_map": {"glioma (III)": "a.b", 'say "x"': "c"}, "max_gradient_norm": 2.5}
    recipe = load_recipe(name, changes)
    (tmp_path / f"{name}.toml").write_text(format_recipe(recipe), encoding="utf-8")
    assert load_recipe(str(tmp_path / f"{name}.toml"), {}) == recipe


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_as_it_was_shipped_has_no_changes(name):
    values = load_recipe(name, {"teacher": "elsewhere/teacher.pth"}).model_dump(mode="json")
    assert list_changes(values) == []
    assert list_changes({key: value for key, value in values.items() if key != "seed"}) == []


def test_changes_are_known_of_recipes_of_the_package_alone(tmp_path):
    (tmp_path / "mine.toml").write_text('extends = "efficientnet_b3"\nseed = 7', encoding="utf-8")
    assert list_changes(load_recipe(str(tmp_path / "mine.toml"), {}).model_dump(mode="json")) == []
    assert list_changes(load_recipe("efficientnet_b3", {"seed": 7}).model_dump(mode="json")) == ["--seed 7"]
