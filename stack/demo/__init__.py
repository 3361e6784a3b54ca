"""`make demo`: orders of every kind through the real services, by HTTP alone, then the books of all four databases."""

from stack.demo.play import Report, play
from stack.demo.scenes import SCENES, SCENES_WITHOUT_FAULTS, Scene

__all__ = ["SCENES", "SCENES_WITHOUT_FAULTS", "Report", "Scene", "play"]
