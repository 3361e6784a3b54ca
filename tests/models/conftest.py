"""One folder of built models for all tests, and the programs that build them."""

from __future__ import annotations

from pathlib import Path

import pytest

from stack import prerequisites


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the built models. Spin and the compilers are installed where they are missing."""
    prerequisites.ensure_model_checkers()
    return tmp_path_factory.mktemp("models")
