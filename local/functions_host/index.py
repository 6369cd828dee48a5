"""What the app offers: its functions and their triggers, with `%SETTING%` resolved and disabled ones marked.

The invariant, recorded from the real host: a function that cannot be indexed is left out with an error, and the
others run on.
"""

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import azure.functions as func
from azure.functions.decorators.core import DataType
from azure.functions.decorators.function_app import Function
from azure.functions.decorators.queue import QueueTrigger
from azure.functions.decorators.timer import TimerTrigger

from local.functions_host.schedule import Schedule

_SETTING = re.compile(r"%([^%]+)%")


class IndexingError(Exception):
    """This function cannot run; the text says why and is safe to log."""


@dataclass(frozen=True, slots=True)
class QueueFunction:
    """A queue-triggered function."""

    name: str
    call: Callable[..., Any]
    annotation: type | None
    binary: bool
    queue: str
    connection: str


@dataclass(frozen=True, slots=True)
class TimerFunction:
    """A timer-triggered function."""

    name: str
    call: Callable[..., Any]
    schedule: Schedule
    use_monitor: bool
    run_on_startup: bool


@dataclass(frozen=True, slots=True)
class Index:
    """The functions that can run, the names of those switched off, and why the rest were left out."""

    functions: tuple[QueueFunction | TimerFunction, ...]
    disabled: frozenset[str]
    errors: Mapping[str, str]


def index_app(app: func.FunctionApp, settings: Mapping[str, str]) -> Index:
    """Return the app's functions as the host would see them with these settings.

    Raises what `app.get_functions()` raises, such as `ValueError` for a duplicate name.
    """
    functions: list[QueueFunction | TimerFunction] = []
    errors: dict[str, str] = {}
    # `get_functions` remembers names and takes its own second call for duplicates, but a restarted host asks again.
    app.functions_bindings = {}
    for function in app.get_functions():
        try:
            functions.append(_indexed(function, settings))
        except (IndexingError, ValueError) as error:
            errors[_name(function)] = str(error)
    disabled = frozenset(function.name for function in functions if _is_disabled(function.name, settings))
    return Index(tuple(functions), disabled, errors)


def look_up(settings: Mapping[str, str], name: str) -> str | None:
    """The setting's value; names are matched without regard to case, as the host's configuration does."""
    if name in settings:
        return settings[name]
    return next((value for key, value in settings.items() if key.casefold() == name.casefold()), None)


def _is_disabled(name: str, settings: Mapping[str, str]) -> bool:
    return (look_up(settings, f"AzureWebJobs.{name}.Disabled") or "").casefold() in {"1", "true"}


def _indexed(function: Function, settings: Mapping[str, str]) -> QueueFunction | TimerFunction:
    name, call, trigger = _name(function), function.get_user_function(), function.get_trigger()
    parameter = getattr(trigger, "name", "")
    if len(function.get_bindings()) != 1 or list(inspect.signature(call).parameters) != [parameter]:
        raise IndexingError("this stand-in runs functions whose one parameter is their trigger, without other bindings")
    if isinstance(trigger, QueueTrigger):
        return QueueFunction(
            name=name,
            call=call,
            annotation=_annotation(call, parameter),
            binary=trigger.data_type == DataType.BINARY.value,
            queue=_resolved(trigger.queue_name, settings),
            connection=trigger.connection,
        )
    if isinstance(trigger, TimerTrigger):
        return TimerFunction(
            name=name,
            call=call,
            schedule=Schedule.parse(_resolved(trigger.schedule, settings)),
            use_monitor=trigger.use_monitor is not False,
            run_on_startup=trigger.run_on_startup is True,
        )
    raise IndexingError("this stand-in knows queue and timer triggers only")


def _name(function: Function) -> str:
    return function.get_function_name() or function.get_user_function().__name__


def _annotation(call: Callable[..., Any], parameter: str) -> type | None:
    annotation = typing.get_type_hints(call).get(parameter)
    if annotation is None or (isinstance(annotation, type) and issubclass(annotation, (str, bytes, func.QueueMessage))):
        return annotation
    raise IndexingError(f"parameter {parameter!r} of a queue trigger is annotated str, bytes or func.QueueMessage")


def _resolved(text: str, settings: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        found = look_up(settings, match[1])
        if found is None:
            raise IndexingError(f"the setting {match[1]!r} is missing")
        return found

    return _SETTING.sub(value, text)
