"""Recipes as files of TOML: those of the package and a user's own, read, written and compared."""

import json
import re
import shlex
import tomllib
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from training.errors import RecipeError
from training.recipe import Recipe, change_recipe, parse_recipe, suggest

_FOLDER = resources.files("training") / "recipes"
_SUFFIX = ".toml"


def recipe_names() -> list[str]:
    """List the recipes that come with the package."""
    return sorted(file.name.removesuffix(_SUFFIX) for file in _FOLDER.iterdir() if file.name.endswith(_SUFFIX))


def load_recipe(name: str, overrides: Mapping[str, Any]) -> Recipe:
    """Read a recipe and change single values.

    Args:
        name: One of `recipe_names`, or the path of a TOML file.
        overrides: As of `change_recipe`.

    Raises:
        RecipeError: If there is no such recipe or a value is unknown or out of its bounds.
    """
    recipe = parse_recipe({**_read_fields(name, ()), "name": re.sub(r"\W", "_", Path(name).name.removesuffix(_SUFFIX))})
    return change_recipe(recipe, overrides)


def list_changes(values: Mapping[str, Any]) -> list[str]:
    """List as options of `fit` the values that are not those of the package's recipe of the same name.

    Args:
        values: Of a recipe, as JSON, such as a card has them; those that an older version did not have may be missing.

    Returns:
        Nothing for a recipe that does not come with the package. Teachers are left out: the card names them elsewhere.
    """
    if values["name"] not in recipe_names():
        return []
    shipped = _write_options(load_recipe(values["name"], {}).model_dump(mode="json"))
    return [text for name, text in _write_options(values).items() if name != "teacher" and text != shipped.get(name)]


def format_recipe(recipe: Recipe) -> str:
    """Write a recipe as a file of TOML, which `--recipe FILE.toml` takes."""
    fields = {name: getattr(recipe, name) for name in Recipe.model_fields if name not in ("name", "augmentation")}
    lines = [f"{name} = {format_value(value)}" for name, value in fields.items() if value is not None]
    changes = [f"{name} = {format_value(value)}" for name, value in recipe.augmentation]
    return "\n".join((*lines, "", "[augmentation]", *changes, ""))


def format_value(value: object) -> str:
    """Write a value as TOML; None, which TOML lacks, as "none"."""
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, Mapping):
        fields = (f"{_quote_key(name)} = {format_value(inner)}" for name, inner in value.items() if inner is not None)
        return "{" + ", ".join(fields) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(format_value, value)) + "]"
    return "none" if value is None else json.dumps(value)


def format_option(value: object) -> str:
    """Write a value as its option takes it: text bare, all else as TOML."""
    return value if isinstance(value, str) else format_value(value)


def _write_options(values: Mapping[str, Any]) -> dict[str, str]:
    parts = {name: value for name, value in values.items() if name not in ("name", "augmentation")}
    parts |= {f"augmentation.{name}": value for name, value in values.get("augmentation", {}).items()}
    return {name: f"--{name.replace('_', '-')} {shlex.quote(format_option(value))}" for name, value in parts.items()}


def _quote_key(name: str) -> str:
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else json.dumps(name)


def _read_fields(name: str, extending: tuple[str, ...]) -> dict[str, Any]:
    """Read a recipe's file: what it leaves out, of the augmentation too, stands in the one that it `extends`.

    Args:
        extending: The recipes that extend this one.
    """
    if name in extending:
        raise RecipeError(f"recipe {name}: it extends itself")
    if name.endswith(_SUFFIX):
        file: Traversable = Path(name)
    elif name in recipe_names():
        file = _FOLDER / (name + _SUFFIX)
    else:
        known = recipe_names()
        raise RecipeError(
            f"expected a recipe out of {', '.join(known)}, or FILE{_SUFFIX}; found {name!r}{suggest(name, known)}"
        )
    try:
        fields = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"recipe {name}: {error.strerror}") from error
    except ValueError as error:  # of TOML or of UTF-8
        raise RecipeError(f"recipe {name}: {error}") from error
    extended = fields.pop("extends", None)
    if extended is None:
        return fields
    if isinstance(file, Path) and str(extended).endswith(_SUFFIX):
        extended = str(file.parent / extended)
    base = _read_fields(str(extended), (*extending, name))
    augmentation = {**base.get("augmentation", {}), **fields.get("augmentation", {})}
    return {**base, **fields, "augmentation": augmentation}
