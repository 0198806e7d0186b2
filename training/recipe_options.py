"""The values of a recipe as options of the command line, written as in TOML."""

import tomllib
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel
from tyro.conf import arg
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

from training.errors import RecipeError
from training.recipe import Recipe, change_recipe
from training.recipe_files import format_option, recipe_names

_AS_IN_STAGES = object()  # a number that nobody asked for
RECIPE_OPTIONS = ConstructorRegistry()


@RECIPE_OPTIONS.struct_rule
def _list_options(info: StructTypeInfo) -> StructConstructorSpec | None:
    """Offer `--recipe` and each of its values; their defaults are those of the recipe in `info.default`."""
    if info.type is not Recipe:
        return None
    recipe = info.default
    name = StructFieldSpec("recipe", str, recipe.name, f"FILE.toml, or one of {', '.join(recipe_names())}.")
    values = (*_list_values(recipe), *_list_values(recipe.augmentation, "augmentation."), *_list_shortcuts(recipe))
    return StructConstructorSpec(lambda recipe, **values: _change(info.default, values), (name, *values))


def _change(recipe: Recipe, values: dict[str, Any]) -> Recipe:
    return change_recipe(recipe, {name: value for name, value in values.items() if value is not _AS_IN_STAGES})


def _list_values(settings: BaseModel, prefix: str = "") -> Iterator[StructFieldSpec]:
    for name, field in type(settings).model_fields.items():
        if name not in ("name", "augmentation"):
            aliases = ["--lr"] if name == "learning_rate" else None
            kind: Any = Annotated[Any, _read_as_toml(prefix + name), arg(aliases=aliases)]
            yield StructFieldSpec(prefix + name, kind, getattr(settings, name), field.description)


def _list_shortcuts(recipe: Recipe) -> Iterator[StructFieldSpec]:
    for name, value, text in (
        ("epochs", recipe.num_epochs, "Of all stages: more lengthen the last one, fewer shorten all."),
        ("image_size", recipe.stages[-1].image_size, "Of the last stage; those before keep their proportion."),
    ):
        kind: Any = Annotated[Any, _read_as_toml(name, str(value))]
        yield StructFieldSpec(name, kind, _AS_IN_STAGES, text)


def _read_as_toml(name: str, default: str = "") -> PrimitiveConstructorSpec[Any]:
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="VALUE",
        instance_from_str=lambda words: parse_value(name, words[0]),
        is_instance=lambda _: True,
        str_from_instance=lambda value: [default if value is _AS_IN_STAGES else format_option(value)],
    )


def parse_value(name: str, text: str) -> Any:
    """Read a value as TOML; a bare word is a string.

    Raises:
        RecipeError: If it is neither.
    """
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        if any(mark in text for mark in "[]{}\"'\n"):
            raise RecipeError(f"{name}: expected a value as in TOML, found {text!r}") from error
        return text
