"""kopf is set up to watch and to write nothing."""

from __future__ import annotations

from itertools import islice

from dbos_operator.cluster.connection import Credentials
from dbos_operator.loop.desired import DesiredState
from dbos_operator.resources.identity import FINALIZER
from dbos_operator.watch.intake import Intake
from dbos_operator.watch.registry import EndlessBackoffs, build_registry, build_settings, connection_info

CREDENTIALS = Credentials(
    server="https://api:6443",
    authorization="Bearer abc",
    ca_file="/ca.crt",
    certificate_file=None,
    key_file=None,
    verify_tls=True,
    proxy=None,
)


async def some_credentials() -> Credentials:
    return CREDENTIALS


def test_it_posts_nothing_and_peers_with_nobody() -> None:
    settings = build_settings()

    assert not settings.posting.enabled
    assert settings.peering.standalone
    assert settings.process.ultimate_exiting_timeout is None


def test_its_finalizer_is_not_the_one_that_guards_rows() -> None:
    # kopf removes its own finalizer from objects that no handler of its needs it for.
    assert build_settings().persistence.finalizer != FINALIZER


def test_a_request_is_tried_again_without_end_and_without_long_pauses() -> None:
    pauses = list(islice(EndlessBackoffs(), 200))

    assert pauses == sorted(pauses)
    assert max(pauses) <= 5


def test_every_watched_kind_has_one_handler_that_keeps_no_state_on_objects() -> None:
    registry = build_registry(Intake(DesiredState()), some_credentials)
    handlers = registry._watching.get_all_handlers()

    assert sorted(str(handler.id) for handler in handlers) == [
        "dbosdatabases.dbos.dev",
        "dbosqueues.dbos.dev",
        "dbosschedules.dbos.dev",
        "deployments.apps",
        "statefulsets.apps",
    ]
    assert not registry._changing.get_all_handlers()
    assert not registry._spawning.get_all_handlers()


def test_a_token_becomes_the_login_of_kopf() -> None:
    info = connection_info(CREDENTIALS)

    assert info.as_http_headers() == {"Authorization": "Bearer abc"}
    assert (info.server, info.ca_path, info.insecure) == ("https://api:6443", "/ca.crt", False)


def test_the_lower_case_scheme_of_a_service_account_token_is_spelled_as_headers_have_it() -> None:
    lower = Credentials(
        server="https://api",
        authorization="bearer abc",
        ca_file=None,
        certificate_file=None,
        key_file=None,
        verify_tls=True,
        proxy=None,
    )

    assert connection_info(lower).as_http_headers() == {"Authorization": "Bearer abc"}


def test_a_client_certificate_needs_no_header() -> None:
    certificate = Credentials(
        server="https://api",
        authorization=None,
        ca_file=None,
        certificate_file="/client.crt",
        key_file="/client.key",
        verify_tls=False,
        proxy="http://proxy:3128",
    )
    info = connection_info(certificate)

    assert info.as_http_headers() == {}
    assert (info.certificate_path, info.private_key_path) == ("/client.crt", "/client.key")
    assert (info.insecure, info.proxy_url) == (True, "http://proxy:3128")
