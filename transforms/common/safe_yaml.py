"""YAML that somebody else wrote: values only, bounded in size, depth and repetition.

The one place where YAML is read. `yaml.safe_load` runs no code, but a short text with aliases may unfold into gigabytes
(`&a [*b, *b, ...]`, ten levels deep), deep nesting ends the interpreter's stack, and some scalars (a 31st of February, an
integer of a million digits) raise errors that are no YAMLError. Settings and mappings need no aliases: they are refused.

    >>> read("shards: 8", "settings.yaml")
    {'shards': 8}
"""

from __future__ import annotations

from typing import Any

import yaml

from transforms.common.errors import UserError

MOST_CHARACTERS = 1 << 20
DEEPEST = 32
LONGEST_NUMBER = 100


class _Loader(yaml.SafeLoader):
    """SafeLoader without aliases and without deep nesting."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose one node, unless it is an alias or lies too deep."""
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, "an alias (*name), which is not allowed", mark)
        self.depth += 1
        if self.depth > DEEPEST:
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, f"values nested deeper than {DEEPEST} levels", mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """A whole number, of no more digits than Python would print."""
        if len(self.construct_scalar(node)) > LONGEST_NUMBER:
            raise yaml.constructor.ConstructorError(None, None, "a number too long", node.start_mark)
        return int(super().construct_yaml_int(node))


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def read(text: str, name: str) -> Any:
    """The values of a YAML text.

    Args:
        text: YAML of at most a megabyte, without aliases and tags.
        name: the file's name, for the message.

    Raises:
        UserError: it is too long, no YAML, or holds what cannot be a plain value.
    """
    if len(text) > MOST_CHARACTERS:
        raise UserError(f"{name}: expected at most {MOST_CHARACTERS:,} characters of YAML, found {len(text):,}.")
    try:
        return yaml.load(text, _Loader)  # noqa: S506  (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" at line {mark.line + 1}" if mark else ""
        allowed = f": {error.problem}" if isinstance(error, yaml.composer.ComposerError) else ""
        raise UserError(f"{name}: expected YAML, found text that is not YAML{where}{allowed}.") from None
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError) as error:
        # what the constructors of scalars raise for a date or a number that cannot be
        raise UserError(
            f"{name}: expected YAML, found text that is not YAML or a value that cannot be ({type(error).__name__})."
        ) from None
