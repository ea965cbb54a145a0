"""Options and variables of `dbos-operator run`, and the one line that refuses a bad one."""

from __future__ import annotations

from datetime import timedelta
from importlib import metadata

import pytest

from dbos_operator.cli import run as run_module
from dbos_operator.cli.main import run_command
from dbos_operator.cli.options import RunOptions
from dbos_operator.errors import ClusterConfigurationError, ClusterError
from dbos_operator.observability.address import Address
from dbos_operator.observability.logs import LogFormat
from dbos_operator.resources.identity import ObjectKey


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[RunOptions]:
    """What the operator would have been run with."""
    seen: list[RunOptions] = []

    async def remember(options: RunOptions) -> None:
        seen.append(options)

    monkeypatch.setattr(run_module, "operate", remember)
    monkeypatch.setattr(run_module, "configure_logging", lambda *_: None)
    return seen


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run_command(["run", *arguments]) == 2
    return capsys.readouterr().err


def test_without_options_all_namespaces_are_watched_at_the_documented_addresses(asked: list[RunOptions]) -> None:
    assert run_command(["run"]) == 0
    assert asked == [
        RunOptions(
            namespaces=(),
            kubeconfig=None,
            context=None,
            metrics_address=Address("", 9464),
            health_address=Address("", 8080),
            tick=timedelta(seconds=5),
            default_database=None,
            log_format=LogFormat.TEXT,
            log_level="info",
        )
    ]


def test_every_option_is_read(asked: list[RunOptions]) -> None:
    arguments = [
        *("--namespace", "orders", "--namespace", "reports", "--kubeconfig", "/k", "--context", "dev"),
        *("--metrics-address", "127.0.0.1:0", "--health-address", "[::1]:81", "--tick", "1m30s"),
        *("--default-database", "orders/main", "--log-format", "json", "--log-level", "DEBUG"),
    ]
    assert run_command(["run", *arguments]) == 0
    assert asked == [
        RunOptions(
            namespaces=("orders", "reports"),
            kubeconfig="/k",
            context="dev",
            metrics_address=Address("127.0.0.1", 0),
            health_address=Address("::1", 81),
            tick=timedelta(seconds=90),
            default_database=ObjectKey("orders", "main"),
            log_format=LogFormat.JSON,
            log_level="debug",
        )
    ]


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("DBOS_OPERATOR_NAMESPACE", "orders,reports", "namespaces", ("orders", "reports")),
        ("DBOS_OPERATOR_NAMESPACE", "orders, reports", "namespaces", ("orders", "reports")),
        ("DBOS_OPERATOR_ALL_NAMESPACES", "true", "namespaces", ()),
        ("DBOS_OPERATOR_KUBECONFIG", "/k", "kubeconfig", "/k"),
        ("DBOS_OPERATOR_CONTEXT", "dev", "context", "dev"),
        ("DBOS_OPERATOR_METRICS_ADDRESS", ":1", "metrics_address", Address("", 1)),
        ("DBOS_OPERATOR_HEALTH_ADDRESS", ":2", "health_address", Address("", 2)),
        ("DBOS_OPERATOR_TICK", "500ms", "tick", timedelta(milliseconds=500)),
        ("DBOS_OPERATOR_DEFAULT_DATABASE", "a/b", "default_database", ObjectKey("a", "b")),
        ("DBOS_OPERATOR_LOG_FORMAT", "json", "log_format", LogFormat.JSON),
        ("DBOS_OPERATOR_LOG_LEVEL", "warning", "log_level", "warning"),
        ("DBOS_OPERATOR_TICK", "", "tick", timedelta(seconds=5)),
    ],
)
def test_every_option_is_also_a_variable(
    asked: list[RunOptions], monkeypatch: pytest.MonkeyPatch, variable: str, text: str, name: str, value: object
) -> None:
    monkeypatch.setenv(variable, text)

    assert run_command(["run"]) == 0
    assert getattr(asked[0], name) == value


def test_the_command_line_wins_over_the_environment(asked: list[RunOptions], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBOS_OPERATOR_TICK", "9s")
    monkeypatch.setenv("DBOS_OPERATOR_NAMESPACE", "orders")

    assert run_command(["run", "--tick", "1s", "--all-namespaces"]) == 0
    assert (asked[0].tick, asked[0].namespaces) == (timedelta(seconds=1), ())


def test_a_namespace_on_the_command_line_wins_over_all_in_the_environment(
    asked: list[RunOptions], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBOS_OPERATOR_ALL_NAMESPACES", "1")

    assert run_command(["run", "--namespace", "orders"]) == 0
    assert asked[0].namespaces == ("orders",)


def test_a_namespace_that_is_named_twice_is_watched_once(asked: list[RunOptions]) -> None:
    assert run_command(["run", "--namespace", "orders", "--namespace", "orders"]) == 0
    assert asked[0].namespaces == ("orders",)


@pytest.mark.parametrize(
    ("option", "text", "expected"),
    [
        ("--tick", "5", "a duration above zero such as 5s"),
        ("--tick", "0s", "a duration above zero"),
        ("--tick", "-1s", "a duration above zero"),
        ("--metrics-address", "9464", "an address such as :9464"),
        ("--health-address", "host:http", "an address such as"),
        ("--health-address", ":99999", "an address such as"),
        ("--default-database", "main", "NAMESPACE/NAME of a DBOSDatabase"),
        ("--default-database", "a/b/c", "NAMESPACE/NAME of a DBOSDatabase"),
        ("--namespace", "Orders", "the name of a namespace"),
        ("--namespace", "orders,reports", "the name of a namespace"),
        ("--log-format", "xml", "text or json"),
        ("--log-level", "loud", "one of debug, info, warning, error"),
    ],
)
def test_a_bad_option_is_refused_in_one_line(
    asked: list[RunOptions], capsys: pytest.CaptureFixture[str], option: str, text: str, expected: str
) -> None:
    line = refusal(capsys, option, text)

    assert line.startswith(f"dbos-operator: {option}: expected {expected}")
    assert line.endswith(f"got {text!r}\n")
    assert line.count("\n") == 1
    assert asked == []


@pytest.mark.parametrize(
    ("variable", "text"), [("DBOS_OPERATOR_TICK", "soon"), ("DBOS_OPERATOR_NAMESPACE", "orders,Reports")]
)
def test_a_bad_variable_is_named_itself(
    asked: list[RunOptions],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    text: str,
) -> None:
    monkeypatch.setenv(variable, text)

    line = refusal(capsys)

    assert line.startswith(f"dbos-operator: {variable}: expected ")
    assert line.count("\n") == 1


def test_a_bad_switch_in_the_environment_is_named(
    asked: list[RunOptions], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBOS_OPERATOR_ALL_NAMESPACES", "perhaps")

    line = refusal(capsys)

    assert line.startswith("dbos-operator: DBOS_OPERATOR_ALL_NAMESPACES: ")
    assert "'perhaps'" in line


def test_one_namespace_and_all_of_them_contradict_each_other(
    asked: list[RunOptions], capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(capsys, "--namespace", "orders", "--all-namespaces")

    assert line == "dbos-operator: --namespace and --all-namespaces: expected one of them, got both\n"


def test_a_default_database_that_is_not_watched_is_refused(
    asked: list[RunOptions], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    namespaces = ("--namespace", "orders", "--namespace", "reports")
    sentence = "expected a DBOSDatabase of a namespace that is watched (orders, reports), got 'shared/main'\n"

    assert refusal(capsys, *namespaces, "--default-database", "shared/main") == (
        f"dbos-operator: --default-database: {sentence}"
    )
    monkeypatch.setenv("DBOS_OPERATOR_DEFAULT_DATABASE", "shared/main")
    assert refusal(capsys, *namespaces) == f"dbos-operator: DBOS_OPERATOR_DEFAULT_DATABASE: {sentence}"
    assert asked == []


@pytest.mark.parametrize("namespaces", [(), ("--all-namespaces",), ("--namespace", "a", "--namespace", "shared")])
def test_a_default_database_that_is_watched_is_taken(asked: list[RunOptions], namespaces: tuple[str, ...]) -> None:
    assert run_command(["run", *namespaces, "--default-database", "shared/main"]) == 0
    assert asked[0].default_database == ObjectKey("shared", "main")


def test_an_unknown_option_and_an_unknown_command_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--colour" in refusal(capsys, "--colour")
    assert run_command(["dance"]) == 2
    assert "dance" in capsys.readouterr().err


@pytest.mark.parametrize(("error", "status"), [(ClusterConfigurationError("no cluster"), 2), (ClusterError("away"), 1)])
def test_what_keeps_the_operator_from_starting_is_one_line_and_a_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, status: int
) -> None:
    async def fail(_: RunOptions) -> None:
        raise error

    monkeypatch.setattr(run_module, "operate", fail)
    monkeypatch.setattr(run_module, "configure_logging", lambda *_: None)

    assert run_command(["run"]) == status
    assert capsys.readouterr().err == f"dbos-operator: {error}\n"


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["--version"]) == 0
    assert metadata.version("dbos-operator") in capsys.readouterr().out


def test_help_names_the_variables(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["run", "--help"]) == 0
    assert "DBOS_OPERATOR_DEFAULT_DATABASE" in capsys.readouterr().out
