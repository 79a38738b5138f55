"""Reading and printing the settings file: safe YAML in, one typed object out, errors that name the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from transforms.common import safe_yaml
from transforms.common.errors import UserError

T = TypeVar("T", bound=BaseModel)


def load(model: type[T], path: str | None) -> T:
    """The settings of a YAML file, defaults where it says nothing; all defaults for None.

    Raises:
        UserError: no such file, no YAML mapping, an unknown key or a wrong value; it names the key and what is allowed.
    """
    if path is None:
        return model()
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read the settings file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: expected a settings file in UTF-8, found bytes that are not") from error
    return parse(model, text, path)


def parse(model: type[T], text: str, path: str) -> T:
    """The settings of a YAML text.

    Raises:
        UserError: as `load`.
    """
    values = safe_yaml.read(text, path)
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise UserError(f"{path} must hold keys and values, as `nightshelf config` prints them")
    return validate(model, values, path)


def validate(model: type[T], values: dict[str, Any], origin: str) -> T:
    """The typed settings.

    Raises:
        UserError: names the first wrong key, its value and what is allowed.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(p) for p in first["loc"])
        if first["type"] == "extra_forbidden":
            allowed = ", ".join(sorted(_keys_beside(model, first["loc"])))
            raise UserError(f"{origin}: unknown key {key!r}; allowed there: {allowed}") from error
        found = repr(first.get("input"))[:80]
        raise UserError(f"{origin}: {key} is {found}: {first['msg']}") from error


def _keys_beside(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    for name in loc[:-1]:
        field = model.model_fields.get(str(name))
        kind = field.annotation if field else None
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return list(model.model_fields)
        model = kind
    return list(model.model_fields)


def to_yaml(settings: BaseModel) -> str:
    """All settings with their values as commented YAML that `load` accepts."""
    lines: list[str] = []
    _dump(settings, lines, 0)
    return "\n".join(lines) + "\n"


def _dump(settings: BaseModel, lines: list[str], depth: int) -> None:
    pad = "  " * depth
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if field.description:
            lines.append(f"{pad}# {field.description}")
        if isinstance(value, BaseModel):
            lines.append(f"{pad}{name}:")
            _dump(value, lines, depth + 1)
        else:
            dumped = settings.model_dump(mode="json")[name]
            lists = isinstance(dumped, list) and not any(isinstance(x, dict) for x in dumped)
            body = yaml.safe_dump(
                {name: dumped}, default_flow_style=False, sort_keys=False, allow_unicode=True, width=110
            )
            if lists:
                key = yaml.safe_dump(name).splitlines()[0]  # `off` without quotes would be a truth value
                body = f"{key}: {yaml.safe_dump(dumped, default_flow_style=True, width=110)}"
            lines.extend(pad + line for line in body.rstrip().splitlines())
