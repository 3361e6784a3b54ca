"""What a stack stores between two starts: passwords, keys, ports and its addresses."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stack.layout import Layout, write_private


@dataclass
class State:
    """Created at the first start and stored in state.json (private)."""

    ports: dict[str, int] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    for_tests: bool = False

    @classmethod
    def load(cls, layout: Layout) -> State:
        if not layout.state.exists():
            return cls()
        return cls(**json.loads(layout.state.read_text()))

    def save(self, layout: Layout) -> None:
        write_private(layout.state, json.dumps(asdict(self), indent=1))

    def secret(self, name: str) -> str:
        """Return the secret called `name`: random, created at its first use."""
        return self.secrets.setdefault(name, secrets.token_urlsafe(40))

    def make_secrets(self, services: Iterable[str]) -> None:
        """Create the secrets of the servers, so that they are saved before the first server starts."""
        self.cluster_id()
        for service in services:
            self.secret(f"{service} superuser")

    def signing_key(self) -> str:
        """Return the user service's Ed25519 key as PKCS 8 PEM on one line, newlines written as backslash n."""
        if "signing_key" not in self.secrets:
            self.secrets["signing_key"] = _new_signing_key()
        return self.secrets["signing_key"]

    def cluster_id(self) -> str:
        """Return the Kafka cluster's id, 16 random bytes as base64url."""
        if "cluster_id" not in self.secrets:
            self.secrets["cluster_id"] = _new_cluster_id()
        return self.secrets["cluster_id"]


def _new_signing_key() -> str:
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem.decode().strip().replace("\n", "\\n")


def _new_cluster_id() -> str:
    # Kafka's command line would read a leading hyphen as an option.
    while (text := base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")).startswith("-"):
        continue
    return text
