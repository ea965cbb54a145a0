"""The file that we create is the one that the published package creates, and each opens the other's."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from dbos import DBOSClient
from dbos.error import DBOSInitializationError
from support.peer import run_peer

_LAUNCH = """
import sys
from dbos import DBOS
DBOS(config={"name": "app", "system_database_url": sys.argv[1], "application_version": "v1"})
@DBOS.workflow(name="double")
def double(number):
    return number * 2
DBOS.launch()
for text in sys.argv[2:]:
    print(DBOS.retrieve_workflow(text).get_result())
DBOS.destroy()
"""


def _schema(path: Path) -> dict[str, set[str]]:
    """Tables with their columns, and indexes with what they are on, however their statements are laid out."""
    connection = sqlite3.connect(path)
    described: dict[str, set[str]] = {}
    for kind, name, table in connection.execute(
        "SELECT type, name, tbl_name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
    ).fetchall():
        if kind == "table":
            columns = connection.execute(f"PRAGMA table_info('{name}')").fetchall()
            described[name] = {" ".join(map(str, (*column[1:4], column[5]))) for column in columns}
            described[name] |= {
                f"references {key[2]}({key[4]}) {key[5]} {key[6]}"
                for key in connection.execute(f"PRAGMA foreign_key_list('{name}')").fetchall()
            }
            continue
        [text] = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()
        told = re.sub(r"\s+", "", text).replace('"', "")
        described[f"{kind} {name} on {table}"] = {told}
    connection.close()
    return described


@pytest.fixture(scope="module")
def official_file(peer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that the published package made."""
    path = tmp_path_factory.mktemp("official") / "official.sqlite"
    run_peer(_LAUNCH, f"sqlite:///{path}")
    return path


@pytest.fixture
def our_file(tmp_path: Path) -> Path:
    """A file that we made."""
    path = tmp_path / "ours.sqlite"
    DBOSClient(system_database_url=f"sqlite:///{path}").destroy()
    return path


def test_every_table_column_and_index_is_as_the_published_package_creates_it(
    official_file: Path, our_file: Path
) -> None:
    official, ours = _schema(official_file), _schema(our_file)
    assert sorted(ours) == sorted(official)
    assert {name: ours[name] ^ official[name] for name in official if ours[name] != official[name]} == {}


def test_the_version_is_recorded_once(our_file: Path) -> None:
    assert sqlite3.connect(our_file).execute("SELECT version FROM dbos_migrations").fetchall() == [(125,)]


def test_our_client_and_their_worker_share_a_file(peer: Path, our_file: Path) -> None:
    url = f"sqlite:///{our_file}"
    with DBOSClient(system_database_url=url) as client:
        handle = client.enqueue({"workflow_name": "double", "queue_name": "later", "workflow_id": "w"}, 21)
        client.resume_workflow(handle.workflow_id)  # to the internal queue, which every worker serves
        assert run_peer(_LAUNCH, url, "w").stdout.split()[-1] == "42"
        assert handle.get_result() == 42


def test_a_file_of_an_older_release_is_refused_and_left_alone(our_file: Path) -> None:
    with sqlite3.connect(our_file) as connection:
        connection.execute("UPDATE dbos_migrations SET version = 108")
    with pytest.raises(DBOSInitializationError, match=r"version 108 .* needs 125"):
        DBOSClient(system_database_url=f"sqlite:///{our_file}")
    assert sqlite3.connect(our_file).execute("SELECT version FROM dbos_migrations").fetchone() == (108,)


def test_a_newer_file_is_used(our_file: Path) -> None:
    with sqlite3.connect(our_file) as connection:
        connection.execute("UPDATE dbos_migrations SET version = 130")
    with DBOSClient(system_database_url=f"sqlite:///{our_file}") as client:
        assert client.list_workflows() == []


def test_tables_of_the_application_may_lie_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "notes.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE notes (text)")
    with DBOSClient(system_database_url=f"sqlite:///{path}") as client:
        assert client.list_workflows() == []


def test_a_file_with_tables_that_are_named_as_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE queues (text)")
    with pytest.raises(DBOSInitializationError, match=r"named as those of DBOS \(queues\)"):
        DBOSClient(system_database_url=f"sqlite:///{path}")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, though long enough to be read as the header of one " * 20)
    with pytest.raises(DBOSInitializationError, match="cannot be used"):
        DBOSClient(system_database_url=f"sqlite:///{path}")
    assert path.read_text().startswith("not a database")
