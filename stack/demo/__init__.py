"""`make demo`: places orders of every kind over HTTP in the real services, then checks all four databases."""

from stack.demo.play import Report, play
from stack.demo.scenes import SCENES, SCENES_WITHOUT_FAULTS, Scene

__all__ = ["SCENES", "SCENES_WITHOUT_FAULTS", "Report", "Scene", "play"]
