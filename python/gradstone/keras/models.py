"""Models, and reading them from files."""

from gradstone.keras.model import Model
from gradstone.keras.saving import clone_model, load_model, model_from_json, save_model
from gradstone.keras.sequential import Sequential

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]
