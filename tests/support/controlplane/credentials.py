"""Who may talk to the API server: a signing key, tokens of users, and kubeconfig files."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ADMIN = "admin"
_GROUP_OF_ADMIN = "system:masters"
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
# RFC 5915: SEQUENCE {version 1, OCTET STRING of the scalar, [0] the curve prime256v1}.
_EC_KEY_BEGIN = bytes.fromhex("30310201010420")
_EC_KEY_END = bytes.fromhex("a00a06082a8648ce3d030107")


def new_signing_key() -> str:
    """A fresh P-256 private key as PEM: no openssl or library is needed for one number."""
    scalar = secrets.randbelow(_P256_ORDER - 1) + 1
    encoded = base64.b64encode(_EC_KEY_BEGIN + scalar.to_bytes(32, "big") + _EC_KEY_END).decode()
    body = "\n".join(encoded[start : start + 64] for start in range(0, len(encoded), 64))
    return f"-----BEGIN EC PRIVATE KEY-----\n{body}\n-----END EC PRIVATE KEY-----\n"


@dataclass(frozen=True, slots=True)
class User:
    """Someone the API server knows by a token."""

    name: str
    token: str
    group: str = ""


def make_users(names: Sequence[str]) -> dict[str, User]:
    """The administrator and users without any right, who get theirs by RoleBindings."""
    users = {name: User(name, secrets.token_hex(16)) for name in names}
    return {ADMIN: User(ADMIN, secrets.token_hex(16), _GROUP_OF_ADMIN), **users}


def token_file(users: dict[str, User]) -> str:
    """What `--token-auth-file` reads."""
    return "".join(f'{user.token},{user.name},{user.name},"{user.group}"\n' for user in users.values())


def write_kubeconfig(path: Path, *, server: str, certificate: Path, token: str) -> Path:
    """Write a kubeconfig that every client understands; JSON is YAML."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority": str(certificate)}}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
    path.write_text(json.dumps(config, indent=1))
    path.chmod(0o600)
    return path
