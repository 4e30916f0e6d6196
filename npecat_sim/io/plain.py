"""Dataclasses from plain values, as JSON gives them: every type is checked, nothing is guessed."""

import reprlib
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

MAX_INTEGER = 2**64 - 1
"""Maximum size of an integer, which is that of a seed; JSON may hold thousands of digits."""

Kind = TypeVar("Kind")


def from_plain(kind: type[Kind], content: Any) -> Kind:
    """Make a dataclass of plain values, the inverse of dataclasses.asdict and JSON.

    Parameters
    ----------
    kind : type
        A dataclass whose fields are of plain types, of dataclasses, or of tuples, lists, dicts and
        optional values of these.
    content : object
        A dict with a value for each field that has no default.

    Returns
    -------
    object
        Of the dataclass. Lists become tuples where the fields are tuples; an integer may stand for
        a float.

    Raises
    ------
    ValueError
        If a value is missing, unknown, of another type, or refused by its dataclass; it names the
        field.
    """
    made: Kind = _value(kind, content, "")
    return made


def _value(kind: Any, value: Any, name: str) -> Any:
    """A plain value as an annotation wants it; ValueError if it does not suit."""
    origin, inner = get_origin(kind) or kind, get_args(kind)
    if is_dataclass(kind) and isinstance(value, dict):
        return _dataclass(kind, value, name)
    if origin in (UnionType, Union):
        if value is None and type(None) in inner:
            return None
        return _value(inner[0], value, name)
    if origin is tuple and isinstance(value, list):
        return tuple(_value(inner[0], one, name) for one in value)
    if origin is list and isinstance(value, list):
        return [_value(inner[0], one, name) for one in value]
    if origin is dict and isinstance(value, dict):
        return {key: _value(inner[1], one, f"{name}.{key}") for key, one in value.items()}
    if kind is Any or (type(value) is int and kind in (int, float) and abs(value) <= MAX_INTEGER):
        return value
    if kind in (bool, float, str) and type(value) is kind:
        return value
    raise ValueError(f"{name or 'the whole'} is {reprlib.repr(value)}")


def _dataclass(kind: Any, content: dict[str, Any], name: str) -> Any:
    """A dataclass of the values in a dict."""
    kinds = get_type_hints(kind)
    prefix = f"{name}." if name else ""
    known = {field.name: field for field in fields(kind)}
    unknown = [key for key in content if key not in known]
    if unknown:
        raise ValueError(f"{prefix}{reprlib.repr(unknown[0])} is unknown")
    for key, field in known.items():
        if key not in content and field.default is field.default_factory is MISSING:
            raise ValueError(f"{prefix}{key} is missing")
    return kind(**{key: _value(kinds[key], one, prefix + key) for key, one in content.items()})
