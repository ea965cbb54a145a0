"""Which URL stands behind the Secret of a DBOSDatabase."""

from __future__ import annotations

import base64
import importlib
from pathlib import Path

import pytest

from dbos_operator.errors import OperatorError
from dbos_operator.local import embedded
from dbos_operator.local.databases import URL_VARIABLE, Databases, SecretKey
from dbos_operator.local.documents import read_documents
from dbos_operator.local.embedded import data_folder
from dbos_operator.local.manifests import Manifests, check_documents
from dbos_operator.local.schemas import Schemas
from dbos_operator.resources.identity import ObjectKey

SCHEMAS = Schemas({"DBOSDatabase": {"type": "object"}})
URL = "postgresql://user@db.example/orders"
OTHER = "postgresql://user@db.example/other"
KEY = ObjectKey("default", "db")


def a_database(name: str = "default", secret: str = "db") -> str:
    return (
        f"---\napiVersion: dbos.dev/v1beta1\nkind: DBOSDatabase\nmetadata: {{name: {name}}}\n"
        f"spec: {{secretRef: {{name: {secret}, key: url}}}}\n"
    )


def a_secret(**data: str) -> str:
    lines = "".join(f"  {name}: {base64.b64encode(text.encode()).decode()}\n" for name, text in data.items())
    return f"---\napiVersion: v1\nkind: Secret\nmetadata: {{name: db}}\ndata:\n{lines}"


def a_folder(*documents: str) -> Manifests:
    return check_documents(read_documents(Path("app.yaml"), "".join(documents)), SCHEMAS)


async def test_the_option_stands_for_every_database_and_for_its_workers(tmp_path: Path) -> None:
    databases = Databases(tmp_path, URL)
    folder = a_folder(a_database(), a_secret(url=OTHER, extra="kept"))

    await databases.prepare(folder)

    assert databases.secret(folder, KEY) == {"url": URL.encode(), "extra": b"kept"}
    assert databases.forced_variables() == {URL_VARIABLE: URL}
    assert databases.embedded_urls() == {}


async def test_a_secret_of_the_folder_says_where_the_database_is(tmp_path: Path) -> None:
    databases = Databases(tmp_path, None)
    folder = a_folder(a_database(), a_secret(url=OTHER))

    await databases.prepare(folder)

    assert databases.secret(folder, KEY) == {"url": OTHER.encode()}
    assert databases.worker_variables(folder, "default") == {URL_VARIABLE: OTHER}
    assert databases.worker_variables(folder, "elsewhere") == {}
    assert databases.forced_variables() == {}


async def test_a_secret_without_the_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="Secret default/db has no key url"):
        await Databases(tmp_path, None).prepare(a_folder(a_database(), a_secret(uri=OTHER)))


async def test_a_missing_extra_is_said_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(embedded, "import_module", missing)
    assert embedded.import_module is not importlib.import_module

    with pytest.raises(OperatorError, match=r"pip install 'dbos-operator\[operator,embedded\]'"):
        await Databases(tmp_path, None).prepare(a_folder(a_database()))


def test_each_secret_has_a_database_of_its_own_in_the_embedded_server() -> None:
    assert SecretKey(KEY, "url").database_name == "db"
    assert SecretKey(ObjectKey("orders", "db"), "uri").database_name == "orders-db-uri"


def test_an_embedded_server_keeps_away_from_paths_that_need_quotes() -> None:
    assert data_folder(Path("/srv/app/.dbos/postgres")) == Path("/srv/app/.dbos/postgres")
    assert data_folder(Path("/srv/my app/.dbos/postgres")).parent == Path.home() / ".cache/dbos-operator/postgres"
