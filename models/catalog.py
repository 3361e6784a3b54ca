"""All configurations of all models, and those that a name stands for."""

from __future__ import annotations

from collections.abc import Sequence

from models.configuration import Configuration
from models.consumer.configurations import CONFIGURATIONS as CONSUMER
from models.relay.configurations import CONFIGURATIONS as RELAY
from models.saga.configurations import CONFIGURATIONS as SAGA

CONFIGURATIONS: tuple[Configuration, ...] = (*RELAY, *SAGA, *CONSUMER)


def named(names: Sequence[str]) -> list[Configuration]:
    """Return the configurations with one of these names, or of a model with one; all when there is no name.

    KeyError for a name that nothing has.
    """
    for name in names:
        if not any(name in (each.model, each.title) for each in CONFIGURATIONS):
            raise KeyError(f"no model and no configuration is named {name!r}")
    return [each for each in CONFIGURATIONS if not names or {each.model, each.title} & set(names)]
