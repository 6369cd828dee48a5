"""Every storage call that the code can make, read from the code itself: the proof that a recording is whole.

The use cases are built over ports that only have names. Wherever one of them ended up as an attribute, the source of
that object's class tells which methods it calls on the attribute. A port may also be handed to a function of the same
module, which is followed; in any other way it must not leave its object, or this reading would miss a call.
"""

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.bootstrap import TABLES, build, container_names, queue_names
from shared.ports import Ports, SourcePorts
from shared.settings import Settings

Call = tuple[str, str]
"""A port, such as `queue submissions`, and the method called on it."""


@dataclass(frozen=True, slots=True)
class Named:
    """In place of a port."""

    name: str


def calls_in_code(settings: Settings) -> set[Call]:
    """Each port of the storage with each method that is called on it, under these settings."""
    app = build(settings, _named_ports(settings))
    return {(port.name, method) for owner, name, port in _holders(app) for method in _methods(type(owner), name)}


def _named_ports(settings: Settings) -> Ports:
    other: Any = object()

    def group(kind: str, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: Named(f"{kind} {name}") for name in names}

    return Ports(
        tables=group("table", TABLES),
        queues=group("queue", queue_names(settings)),
        containers=group("container", container_names(settings)),
        mail=other,
        submissions=other,
        clock=other,
        sources=SourcePorts(user_submissions=other, defender_alerts=other, hunting=other),
        answers=other,
    )


def _holders(root: object) -> Iterator[tuple[object, str, Named]]:
    """Every object of ours under `root` that holds a port, with the attribute and the port."""
    waiting, seen = [root], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        for name, value in _parts(one):
            if isinstance(value, Named):
                assert name, f"a port stands in a collection of {one!r}"
                yield one, name, value
            else:
                waiting.append(value)


def _parts(one: object) -> Iterator[tuple[str, object]]:
    """The attributes of an object of ours, or the members of a collection, which have no name."""
    if isinstance(one, Mapping):
        yield from (("", value) for value in one.values())
    elif isinstance(one, list | tuple | set | frozenset):
        yield from (("", value) for value in one)
    elif type(one).__module__.startswith("shared."):
        slots = (name for base in type(one).__mro__ for name in getattr(base, "__slots__", ()))
        for name in {*slots, *getattr(one, "__dict__", {})}:
            yield name, getattr(one, name, None)


def _methods(owner: type, attribute: str) -> set[str]:
    tree = ast.parse(inspect.getsource(owner))
    return _methods_on(f"self.{attribute}", tree, vars(sys.modules[owner.__module__]))


def _methods_on(port: str, tree: ast.AST, module: Mapping[str, Any]) -> set[str]:
    """The methods called on `port`, which is how the source writes it, and on what a function gets it as."""
    methods: set[str] = set()
    followed = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == port:
            methods.add(node.attr)
            followed += 1
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            for position in (at for at, argument in enumerate(node.args) if ast.unparse(argument) == port):
                methods |= _methods_on_parameter(module[node.func.id], position)
                followed += 1
    assert followed == _reads(port, tree), f"{port} is handed on where this reading does not follow it"
    return methods


def _methods_on_parameter(function: Any, position: int) -> set[str]:
    name = list(inspect.signature(function).parameters)[position]
    return _methods_on(name, ast.parse(inspect.getsource(function)), function.__globals__)


def _reads(port: str, tree: ast.AST) -> int:
    read = (one for one in ast.walk(tree) if isinstance(one, ast.Attribute | ast.Name) and ast.unparse(one) == port)
    return sum(isinstance(one.ctx, ast.Load) for one in read)
