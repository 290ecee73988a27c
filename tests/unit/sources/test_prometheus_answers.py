"""Answers that no Prometheus gives: each is a Failure, because one that raises would end the operator."""

from __future__ import annotations

import pytest

from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.evidence.types import Failure
from veriramp_operator.sources.prometheus import parse_answer

SUCCESS = '{"status":"success","data":{"resultType":"vector","result":%s}}'


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param("[" * 100_000, NoDataReason.WRONG_TYPE, id="nested without end"),
        pytest.param('{"status":"success","warnings":{"a":1}}', NoDataReason.PARTIAL_RESPONSE, id="warnings by name"),
        pytest.param('{"status":"error","errorType":["bad_data"]}', NoDataReason.WRONG_TYPE, id="a list of errors"),
        pytest.param(SUCCESS % '[{"metric":{},"value":[0,1%s]}]' % ("0" * 400), NoDataReason.WRONG_TYPE, id="too big"),
        pytest.param(SUCCESS % '{"metric":1}', NoDataReason.WRONG_TYPE, id="no list of series"),
    ],
)
def test_an_answer_of_another_shape_is_a_failure(body: str, reason: NoDataReason) -> None:
    answer = parse_answer(200, body.encode())
    assert isinstance(answer, Failure)
    assert answer.reason is reason
