"""What is wrong with a plan is found without a cluster too, with the advice that the API server gives."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tests.support.rollouts import BadRollout, bad_rollouts, complete
from veriramp_operator.api.problems import problems
from veriramp_operator.api.rollout import RolloutSpec

# These are about the object round the spec, or about what is not a field at all.
ELSEWHERE = {"a name too long for its children", "a name with a dot", "a field that does not exist"}


def test_the_complete_example_has_none() -> None:
    assert problems(RolloutSpec.model_validate(complete()["spec"])) == ()


@pytest.mark.parametrize(
    "bad", [bad for bad in bad_rollouts() if bad.name not in ELSEWHERE], ids=lambda bad: bad.name.replace(" ", "-")
)
def test_what_the_api_server_refuses_is_found_with_the_same_advice(bad: BadRollout) -> None:
    try:
        spec = RolloutSpec.model_validate(bad.manifest()["spec"])
    except ValidationError:
        return  # the models have the bounds and patterns of the schema themselves
    subject, _, advice = plain(bad.says).rpartition("; ")
    found = [plain(sentence) for sentence in problems(spec)]
    assert [sentence for sentence in found if advice in sentence and subject.split(" ")[0] in sentence], found


def plain(text: str) -> str:
    """Leave out how CEL prints lists and texts."""
    return "".join(letter for letter in text if letter not in '[]"')


def test_the_models_refuse_by_themselves_only_what_the_schema_has_as_a_bound() -> None:
    refused = set()
    for bad in bad_rollouts():
        try:
            RolloutSpec.model_validate(bad.manifest()["spec"])
        except ValidationError:
            refused.add(bad.name)
    assert refused == {
        "a duration in days",
        "a duration without unit",
        "a duration above 90 days",
        "an unknown mode",
        "a weight above 1",
        "a negative percent",
        "a percent above 100",
        "a rate given in percent",
        "no stages",
        "a day that does not exist",
        "a URL for the endpoint",
        "a stage name with a blank",
        "a time of day without minutes",
    }
