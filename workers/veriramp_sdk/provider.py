"""An OpenFeature provider over the document that the SDK holds, for services that already speak OpenFeature.

Public: :class:`DocumentProvider`. The caller passes the bucket as context attribute ``bucket``; the lease and the
refusal of older revisions are the SDK's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ProviderNotReadyError
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType
from openfeature.provider import AbstractProvider
from openfeature.provider.metadata import Metadata

from veriramp_sdk.document import Document

Held = Callable[[], Document | None]


class DocumentProvider(AbstractProvider):
    """Evaluates whatever document is held at the moment; raises ``ProviderNotReadyError`` while there is none."""

    def __init__(self, held: Held) -> None:
        super().__init__()
        self._held = held

    def get_metadata(self) -> Metadata:
        """The provider's name."""
        return Metadata(name="veriramp")

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """Resolve a boolean flag."""
        return self._document().evaluator.resolve_boolean_value(flag_key, default_value, evaluation_context)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """Resolve a text flag."""
        return self._document().evaluator.resolve_string_value(flag_key, default_value, evaluation_context)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """Resolve a whole number flag."""
        return self._document().evaluator.resolve_integer_value(flag_key, default_value, evaluation_context)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """Resolve a number flag."""
        return self._document().evaluator.resolve_float_value(flag_key, default_value, evaluation_context)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        """Resolve an object flag: the one that a rollout publishes."""
        return self._document().evaluator.resolve_object_value(flag_key, default_value, evaluation_context)

    def _document(self) -> Document:
        document = self._held()
        if document is None:
            raise ProviderNotReadyError("no flag document was received yet")
        return document
