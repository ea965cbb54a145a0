"""The product documentation holds: every code block is run, and what signatures show can be given."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import dbos
from dbos import DBOS, DBOSClient, Debouncer, WorkflowHandle
from dbos.api.statuses import ListOptions
from dbos.api.stepping import StepStatus
from dbos.serialization.custom import DefaultSerializer
from support.product_docs import ROOT, Block, all_blocks, blocks_of

TESTS = Path(__file__).parents[1]
DRIVERS = TESTS / "integration" / "product_docs"
OWNERS: dict[str, Any] = {
    "DBOS": DBOS,
    "client": DBOSClient,
    "Debouncer": Debouncer,
    "debouncer": Debouncer,
    "handle": WorkflowHandle,
}


# -- every block ---------------------------------------------------------------------------------------------------


def test_the_manifest_names_every_block() -> None:
    files = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("*/*")}

    assert files == set(all_blocks())
    assert {block.kind for block in all_blocks().values()} == {"program", "signature", "type", "attribute", "text"}


def test_every_program_and_text_is_run_by_a_test() -> None:
    """Running one means running all of its statements: the fixture `blocks` fails where one did not run."""
    named = {
        node.value
        for path in DRIVERS.glob("test_*.py")
        for test in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(test, ast.FunctionDef) and test.name.startswith("test_")
        for node in ast.walk(test)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    for block in [*blocks_of("program"), *blocks_of("text")]:
        assert block.name in named or block.path.name in named, f"no test runs {block.name}"


PROMISES = tomllib.loads((ROOT / "promises.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("about", PROMISES)
def test_every_promise_has_a_test(about: str) -> None:
    for promise, tests in PROMISES[about].items():
        assert tests, promise
        for test in tests:
            file, _, function = test.partition("::")
            text = (TESTS / file).read_text(encoding="utf-8")
            assert re.search(rf"^(async )?def {function or 'test_'}", text, re.MULTILINE), f"{promise}: {test}"


# -- signatures ----------------------------------------------------------------------------------------------------

NO_DEFAULT = inspect.Parameter.empty
BY_PLACE = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}


@dataclass(frozen=True)
class Shown:
    """What a signature shows: what is called, its parameters with their defaults, and what it gives."""

    name: str
    parameters: dict[str, Any]
    gives: str
    in_order: tuple[str, ...] = ()
    """The parameters that may be given without their names."""


def shown(block: Block) -> Shown:
    """The signature of a block."""
    found = re.match(r"(?:def |class |.*= )?([\w.]+)\((.*)\)(?: -> (.*?):?)?\s*\Z", block.source.strip(), re.DOTALL)
    assert found is not None, block.name
    name, text, gives = found.groups()
    if "=" in text and ":" not in text:  # a call that shows the defaults
        call = ast.parse(f"f({text})", mode="eval").body
        assert isinstance(call, ast.Call)
        return Shown(name, {str(each.arg): value_of(each.value) for each in call.keywords}, gives or "")
    tree = ast.parse(f"def f({text}): ...").body[0]
    assert isinstance(tree, ast.FunctionDef)
    args = tree.args
    padded = [None] * (len(args.args) - len(args.defaults)) + list(args.defaults)
    pairs = [*zip(args.args, padded, strict=True), *zip(args.kwonlyargs, args.kw_defaults, strict=True)]
    parameters = {each.arg: NO_DEFAULT if value is None else value_of(value) for each, value in pairs}
    return Shown(name, parameters, gives or "", tuple(each.arg for each in args.args))


def value_of(node: ast.expr) -> Any:
    return "a DefaultSerializer" if isinstance(node, ast.Call) else ast.literal_eval(node)


def target(block: Block, name: str) -> Callable[..., Any]:
    """What a signature is about."""
    owner, _, attribute = name.rpartition(".")
    if block.path.stem.endswith("-async") and not attribute.endswith("_async"):
        attribute += "_async"  # the heading says so, the signature below it does not
    if owner:
        return getattr(OWNERS[owner], attribute)  # type: ignore[no-any-return]
    if name.startswith("list_"):
        return getattr(DBOS, attribute)  # type: ignore[no-any-return]
    return getattr(dbos, attribute)  # type: ignore[no-any-return]


def parameters_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The parameters that can be given by name, with their defaults; those of ListOptions are None or False."""
    found: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD and "ListOptions" in str(parameter.annotation):
            found |= {name: False if "bool" in str(hint) else None for name, hint in LIST_OPTIONS.items()}
        elif parameter.kind not in {parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL}:
            found[parameter.name] = parameter.default
    return found


LIST_OPTIONS = get_type_hints(ListOptions)


@pytest.mark.parametrize("block", blocks_of("signature"), ids=lambda block: block.name)
def test_what_a_signature_shows_can_be_given(block: Block) -> None:
    signature = shown(block)
    name, wanted, gives = signature.name, signature.parameters, signature.gives
    function = target(block, name)
    ours = parameters_of(function)

    for parameter, default in wanted.items():
        assert parameter in ours, f"{name} has no {parameter}"
        if default is NO_DEFAULT:
            continue  # ours may have one
        if default == "a DefaultSerializer":
            assert ours[parameter] is None or isinstance(ours[parameter], DefaultSerializer)
        else:
            assert ours[parameter] == default, f"{parameter} of {name}"
    by_place = [each.name for each in inspect.signature(function).parameters.values() if each.kind in BY_PLACE]
    without_self = [each for each in by_place if each not in {"self", "cls"}]
    if name != "DBOS.step":  # a decorator is given names, by the documentation too
        assert without_self[: len(signature.in_order)] == [*signature.in_order], f"the order of {name}"
    needed = {parameter for parameter, default in ours.items() if default is NO_DEFAULT} - {"self", "cls"}
    assert needed <= set(wanted), f"{name} asks for more than is shown"
    if not gives.startswith("Debouncer") and (gives.startswith("Coroutine") or name.endswith("_async")):
        assert inspect.iscoroutinefunction(function), name


@pytest.mark.parametrize("owner", [DBOS, DBOSClient])
def test_queued_listings_take_the_filters_of_listings(owner: Any) -> None:
    assert parameters_of(owner.list_queued_workflows) == parameters_of(owner.list_workflows)


# -- types and attributes ------------------------------------------------------------------------------------------


TYPES = [block for block in blocks_of("type") if "step-info" not in block.name]
"""A StepInfo is a dictionary: its keys are compared where there is one."""

NOT_OURS = {"conductor_key"}
"""A key of the commercial control plane; a warning names it."""


@pytest.mark.parametrize("block", TYPES, ids=lambda block: block.name)
def test_a_type_has_what_is_shown(block: Block) -> None:
    (defined,) = (node for node in ast.parse(block.source).body if isinstance(node, ast.ClassDef))
    ours: Any = StepStatus if defined.name == "StepStatus" else getattr(dbos, defined.name)
    wanted = {node.target.id for node in defined.body if isinstance(node, ast.AnnAssign) and hasattr(node.target, "id")}
    wanted |= {node.name for node in defined.body if isinstance(node, ast.FunctionDef)}

    assert wanted - NOT_OURS <= set(getattr(ours, "__annotations__", {})) | set(dir(ours))


@pytest.mark.parametrize("block", blocks_of("attribute"), ids=lambda block: block.name)
def test_an_attribute_is_there(block: Block) -> None:
    found = re.fullmatch(r"DBOS\.(\w+): ([\w.]+)(?:\[(.*)\])?", block.source.strip())
    assert found is not None

    assert isinstance(inspect.getattr_static(type(DBOS), found[1]), property)
