"""YAML text, read as kubectl reads it, with the line of every field."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbos_operator.local.documents import ManifestError, read_documents

FILE = Path("app.yaml")


def test_documents_are_separated_and_empty_ones_left_out() -> None:
    documents = list(read_documents(FILE, "---\na: 1\n---\n# nothing\n---\nb: [2]\n"))

    assert [document.value for document in documents] == [{"a": 1}, {"b": [2]}]


def test_a_field_is_found_on_its_line() -> None:
    (document,) = read_documents(FILE, "---\nspec:\n  list:\n  - name: a\n  - name: b\n    value: 1\n")

    assert document.line_of(["spec", "list", 1, "value"]) == 6
    assert document.line_of(["spec", "list", 0]) == 4
    assert document.line_of(["spec", "missing", "deeper"]) == 2
    assert document.line_of() == 2


@pytest.mark.parametrize("text", ["2024-01-01", "12:30:45", "1e3x", "0.0.1"])
def test_what_kubectl_takes_for_text_stays_text(text: str) -> None:
    (document,) = read_documents(FILE, f"a: {text}\n")

    assert document.value == {"a": text}


@pytest.mark.parametrize(("text", "value"), [("7", 7), ("-1.5", -1.5), ("true", True), ("~", None), ("0x1F", 31)])
def test_numbers_and_booleans_are_read(text: str, value: object) -> None:
    (document,) = read_documents(FILE, f"a: {text}\n")

    assert document.value == {"a": value}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nspec: [\n", "app.yaml:3: not YAML: "),
        ("a: 1\n\tb: 2\n", "app.yaml:2: not YAML: "),
        ("a: 1\nb: 2\na: 3\n", "app.yaml:3: not YAML: the key a comes twice in one mapping"),
        ("a: !!python/object:os.system {}\n", "app.yaml:1: not YAML: could not determine a constructor"),
        ("a: \x07\n", "app.yaml:1: not YAML: "),
    ],
)
def test_broken_text_is_one_line_with_file_and_line(text: str, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        list(read_documents(FILE, text))

    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
