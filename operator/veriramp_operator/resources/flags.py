"""The flag document of a rollout: built, checked before a rise, put into its ConfigMap, read back.

Public: everything in ``__all__``. Parts: ``flags_document`` (the text), ``flags_rules`` (targeting), ``flags_check``
(the evaluation before a rise), ``flags_configmap`` (the Kubernetes object).
"""

from __future__ import annotations

from veriramp_operator.api.errors import ConfigurationError
from veriramp_operator.resources.flags_check import arm_at, self_check
from veriramp_operator.resources.flags_configmap import Owner, config_map, config_map_name
from veriramp_operator.resources.flags_document import (
    DATA_KEY,
    DocumentRequest,
    FlagDocument,
    all_off,
    all_off_after,
    build,
    canary_buckets,
    parse,
    stamp,
    whole,
)

__all__ = [
    "DATA_KEY",
    "DocumentRequest",
    "FlagDocument",
    "Owner",
    "all_off",
    "all_off_after",
    "arm_at",
    "build",
    "canary_buckets",
    "config_map",
    "config_map_name",
    "parse",
    "safe_document",
    "self_check",
    "stamp",
    "whole",
]


def safe_document(request: DocumentRequest) -> FlagDocument:
    """The document of a fall: as asked when it evaluates as it should, else everything off; never checked away."""
    try:
        document = build(request)
        problems = self_check(document, None, request.vector)
    except (ValueError, TypeError, ConfigurationError):
        return all_off(request)
    return all_off(request) if problems else document
