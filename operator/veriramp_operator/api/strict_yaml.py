"""YAML as kubectl reads it.

Public: :func:`load_strictly`, :class:`StrictLoader`.
"""

from __future__ import annotations

from typing import Any

import yaml


def load_strictly(text: str | bytes) -> Any:
    """The value of one YAML document; raise ``yaml.YAMLError`` when it is none, or a key stands twice."""
    return yaml.load(text, StrictLoader)  # noqa: S506 it is a safe loader


class StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice, as kubectl does; the last one would win otherwise, without a word."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping; raise ``yaml.MarkedYAMLError`` for a key that stands twice."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    problem = f'the key "{key.value}" stands twice; keep one'
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
                seen.add(key.value)
        return node
