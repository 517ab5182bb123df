"""The models that can be trained without a file: one module a recipe."""

from . import diabetes, exam, iris
from .recipe import Dataset, Recipe

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe for recipe in (iris.RECIPE, exam.RECIPE, diabetes.RECIPE)
}

__all__ = ["RECIPES", "Dataset", "Recipe"]
