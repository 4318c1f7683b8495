"""The show: what a room sees, and what the scripts in the top-level folder `workshop/` need beside the library."""

from kurabe.workshop.measured import SIGN, counted
from kurabe.workshop.stage import choose_model, told

__all__ = ["SIGN", "choose_model", "counted", "told"]
