"""The models that can be trained without a file: one module a recipe."""

from . import blood_donation, diabetes, exam, iris, titanic
from .recipe import Dataset, Recipe

RECIPES: dict[str, Recipe] = {
    module.RECIPE.name: module.RECIPE for module in (iris, exam, diabetes, blood_donation, titanic)
}

__all__ = ["RECIPES", "Dataset", "Recipe"]
