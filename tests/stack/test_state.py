"""What a stack remembers: private, and the same at the next start."""

from __future__ import annotations

import base64
import stat

import pytest

from stack import state as module
from stack.layout import Layout
from stack.state import State


def test_the_state_is_kept_private_and_found_again(layout: Layout) -> None:
    made = State(ports={"kafka": 9092}, addresses={"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092"}, for_tests=True)
    made.make_secrets(["order"])
    key = made.signing_key()
    made.save(layout)

    assert State.load(layout) == made
    assert State.load(layout).signing_key() == key
    assert stat.S_IMODE(layout.state.stat().st_mode) == 0o600


def test_without_a_state_a_first_one_begins(layout: Layout) -> None:
    assert State.load(layout) == State()


def test_secrets_are_random_and_stay_the_same() -> None:
    made = State()

    assert made.secret("one") == made.secret("one")
    assert len({made.secret("one"), made.secret("two"), State().secret("one")}) == 3


def test_what_the_servers_are_set_up_with_is_made_before_they_start() -> None:
    made = State()
    made.make_secrets(["order", "user"])

    assert set(made.secrets) == {"cluster_id", "order superuser", "user superuser"}


def test_a_cluster_id_never_begins_with_a_hyphen(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = iter([b"\xf8" + bytes(15), bytes(16)])  # the first one is written as -AAA…
    monkeypatch.setattr(module.secrets, "token_bytes", lambda size: next(tokens))

    cluster = State().cluster_id()

    assert not cluster.startswith("-")
    assert base64.urlsafe_b64decode(cluster + "==") == bytes(16)
