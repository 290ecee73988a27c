"""Alerts by name: pushed, pulled and joined; firing, resolved, expired, before an anchor; rules that prove nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.evidence import NOW, firing_gate
from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.status import VerdictKind
from veriramp_operator.evidence import Mark, VerdictReason, judge, mark_of, questions
from veriramp_operator.evidence.types import Answer, Failure, PushedAlert, Reading, RuleSeen, Samples, Series


def alert(
    name: str = "Broken", *, firing: bool = True, received: float = NOW - 10, ends: float = NOW + 60
) -> PushedAlert:
    return PushedAlert(name, firing, received, received - 5, ends)


@pytest.mark.parametrize(
    ("name", "alerts", "kind", "reason"),
    [
        ("a named alert fires", [alert()], VerdictKind.REGRESSION, VerdictReason.FIRING),
        ("one of two fires", [alert(firing=False), alert("Worse")], VerdictKind.REGRESSION, VerdictReason.FIRING),
        ("silence", [], VerdictKind.NOT_APPLICABLE, VerdictReason.NOT_FIRING),
        ("another alert", [alert("Other")], VerdictKind.NOT_APPLICABLE, VerdictReason.NOT_FIRING),
        ("resolved", [alert(firing=False)], VerdictKind.NOT_APPLICABLE, VerdictReason.NOT_FIRING),
        ("no news any more", [alert(ends=NOW)], VerdictKind.NOT_APPLICABLE, VerdictReason.NOT_FIRING),
    ],
)
def test_pushed_alerts(name: str, alerts: list[PushedAlert], kind: VerdictKind, reason: VerdictReason) -> None:
    verdict = judge(firing_gate("Broken", "Worse"), Samples(pushes=tuple(alerts)), NOW)
    assert (verdict.kind, verdict.reason) == (kind, reason), name


def test_the_breach_began_when_the_alert_did() -> None:
    verdict = judge(firing_gate(), Samples(pushes=(alert(),)), NOW)
    assert (verdict.breached_at, verdict.observed_at) == (NOW - 15, NOW - 10)


def test_a_start_in_our_future_is_no_later_than_the_news_of_it() -> None:
    ahead = PushedAlert("Broken", firing=True, received_at=NOW, starts_at=NOW + 30, expires_at=NOW + 60)
    assert judge(firing_gate(), Samples(pushes=(ahead,)), NOW).breached_at == NOW


@pytest.mark.parametrize(
    ("received", "since", "kind"),
    [
        (NOW - 10, NOW - 5, VerdictKind.INCONCLUSIVE),  # news of before the fall
        (NOW - 10, NOW - 14, VerdictKind.INCONCLUSIVE),  # news of after it, of an alert that began before it
        (NOW - 10, NOW - 15, VerdictKind.INCONCLUSIVE),  # it began with it: it may be what made it fall
        (NOW - 10, NOW - 16, VerdictKind.REGRESSION),  # it began after it: new evidence at once
        (NOW - 10, NOW - 20, VerdictKind.REGRESSION),
        (NOW - 400, NOW - 300, VerdictKind.INCONCLUSIVE),
    ],
)
def test_an_anchor(received: float, since: float, kind: VerdictKind) -> None:
    verdict = judge(firing_gate(window="20s"), Samples(pushes=(alert(received=received),)), NOW, since)
    assert verdict.kind is kind
    assert verdict.leans_bad is (kind is VerdictKind.INCONCLUSIVE)


# Pulled

LOST = Failure(NoDataReason.TIMEOUT, "did not answer")
SILENT = Series(())


def rule(
    name: str = "Broken", health: str = "ok", *, age: float = 5.0, interval: float = 15.0, error: str = ""
) -> RuleSeen:
    return RuleSeen(name, health, NOW - age, interval, error)


def fires(*names: str, began: float = NOW - 60, **labels: str) -> Series:
    return Series((began,) * len(names), tuple({"alertname": name, "namespace": "ns"} | labels for name in names))


def pulled(answer: Answer, *rules: RuleSeen, at: float = NOW) -> Reading:
    return Reading(at, answer, rules=rules or (rule(), rule("Worse")))


PULL, BOTH = firing_gate("Broken", "Worse", source="Pull"), firing_gate("Broken", "Worse", source="Both")
REGRESSION, PASS, NO_DATA = VerdictKind.REGRESSION, VerdictKind.PASS, VerdictKind.NO_DATA
UNCLEAR = VerdictKind.INCONCLUSIVE
SOUND = rule("Worse")
NEVER = RuleSeen("Broken", "unknown", 0.0, 15.0)


@pytest.mark.shows("S1-ROLL-07")
@pytest.mark.parametrize(
    ("name", "reading", "kind", "reason"),
    [
        ("sound rules, nothing fires", pulled(SILENT), PASS, VerdictReason.HEALTHY),
        ("one fires", pulled(fires("Worse")), REGRESSION, VerdictReason.FIRING),
        ("another alert", pulled(fires("Other")), PASS, VerdictReason.HEALTHY),
        ("no rule", pulled(SILENT, SOUND), NO_DATA, NoDataReason.RULE_MISSING),
        ("no rule, but the other fires", pulled(fires("Worse"), SOUND), REGRESSION, VerdictReason.FIRING),
        ("an alert without its rule", pulled(fires("Broken"), SOUND), NO_DATA, NoDataReason.RULE_MISSING),
        ("a rule that fails", pulled(SILENT, rule(health="err"), SOUND), NO_DATA, NoDataReason.RULE_MISSING),
        ("one of two of a name", pulled(SILENT, rule(), rule(health="err"), SOUND), NO_DATA, NoDataReason.RULE_MISSING),
        ("never evaluated", pulled(SILENT, NEVER, SOUND), NO_DATA, NoDataReason.RULE_MISSING),
        ("evaluated just in time", pulled(SILENT, rule(age=45), SOUND), PASS, VerdictReason.HEALTHY),
        ("evaluated long ago", pulled(SILENT, rule(age=46), SOUND), NO_DATA, NoDataReason.RULE_MISSING),
        ("evaluated rarely", pulled(SILENT, rule(age=170, interval=60), SOUND), PASS, VerdictReason.HEALTHY),
        ("rules lost", Reading(NOW, SILENT, rules=LOST), NO_DATA, NoDataReason.TIMEOUT),
        ("rules not asked", Reading(NOW, SILENT), NO_DATA, NoDataReason.NEVER_ASKED),
        ("alerts lost", pulled(LOST), NO_DATA, NoDataReason.TIMEOUT),
        ("long ago", pulled(SILENT, at=NOW - 31), NO_DATA, NoDataReason.TOO_OLD),
        ("not asked yet", None, NO_DATA, NoDataReason.NEVER_ASKED),
    ],
)
def test_pulled_alerts(name: str, reading: Reading | None, kind: VerdictKind, reason: str) -> None:
    samples = Samples(() if reading is None else (reading,))
    for gate in (PULL, BOTH):
        verdict = judge(gate, samples, NOW)
        assert (verdict.kind, verdict.reason) == (kind, reason), name
    if reading is not None and reading.at == NOW:
        mark = {REGRESSION: Mark.BAD, PASS: Mark.GOOD, NO_DATA: Mark.UNKNOWN}[kind]
        assert mark_of(PULL, reading) is mark


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ((SOUND,), "Prometheus has no alerting rule Broken; load it there"),
        ((rule(health="err", error="many-to-many"), SOUND), "the rule of alert Broken fails: many-to-many"),
        ((NEVER, SOUND), "the rule of alert Broken has not been evaluated yet"),
        ((rule(age=600), SOUND), "the rule of alert Broken was last evaluated 10m ago, more than 45s"),
    ],
)
def test_the_rule_is_named_and_so_is_what_is_wrong_with_it(rules: tuple[RuleSeen, ...], says: str) -> None:
    assert judge(PULL, Samples((pulled(SILENT, *rules),)), NOW).message == says


def test_a_pulled_breach_began_when_its_expression_first_held() -> None:
    verdict = judge(PULL, Samples((pulled(fires("Broken", began=NOW - 90)),)), NOW)
    assert (verdict.breached_at, verdict.observed_at) == (NOW - 90, NOW)
    unknown = judge(PULL, Samples((pulled(fires("Broken", began=1.0)),)), NOW)
    assert unknown.breached_at == NOW, "a server without ALERTS_FOR_STATE"


def test_a_pulled_alert_outlives_polls_without_data_for_a_while() -> None:
    early, late = pulled(fires("Broken"), at=NOW - 12), pulled(fires("Broken"), at=NOW - 13)
    assert judge(PULL, Samples((early, pulled(LOST))), NOW).kind is REGRESSION
    assert judge(PULL, Samples((late, pulled(LOST))), NOW).kind is NO_DATA
    assert judge(PULL, Samples((early, pulled(SILENT))), NOW).kind is PASS


@pytest.mark.parametrize(
    ("began", "since", "kind"),
    [
        (NOW - 60, NOW - 30, UNCLEAR),  # it began before the retry
        (NOW - 60, NOW - 299, REGRESSION),  # it began after it: new evidence at once
        (NOW - 400, NOW - 299, UNCLEAR),
        (NOW - 400, NOW - 300, REGRESSION),  # old, but it has lasted for a whole window since
        (1.0, NOW - 299, UNCLEAR),  # nobody knows when it began
        (1.0, NOW - 300, REGRESSION),
    ],
)
def test_a_pulled_alert_after_a_retry(began: float, since: float, kind: VerdictKind) -> None:
    verdict = judge(PULL, Samples((pulled(fires("Broken", began=began)),)), NOW, since)
    assert verdict.kind is kind
    assert verdict.leans_bad is (kind is UNCLEAR)


def test_silence_after_a_retry_counts_once_a_window_has_passed() -> None:
    for since, kind in ((NOW - 299, UNCLEAR), (NOW - 300, PASS)):
        verdict = judge(PULL, Samples((pulled(SILENT),)), NOW, since)
        assert verdict.kind is kind
        assert not verdict.leans_bad


found_rules = st.lists(
    st.builds(
        rule,
        st.sampled_from(["Broken", "Worse", "Other"]),
        st.sampled_from(["ok", "err", "unknown"]),
        age=st.floats(-5, 99),
    ),
    max_size=4,
).map(tuple)
found_answers = st.sampled_from([SILENT, LOST, fires("Broken"), fires("Other"), Series((1.0,))])


@pytest.mark.shows("S1-ROLL-07")
@given(found_answers, st.just(LOST) | st.none() | found_rules, st.none() | st.floats(NOW - 600, NOW))
def test_only_sound_rules_and_silence_pass(
    answer: Answer, rules: tuple[RuleSeen, ...] | Failure | None, since: float | None
) -> None:
    verdict = judge(PULL, Samples((Reading(NOW, answer, rules=rules),)), NOW, since)
    if verdict.kind is PASS:
        assert answer not in (LOST, fires("Broken"))
        assert isinstance(rules, tuple)
        named = [rule for rule in rules if rule.alertname != "Other"]
        assert {rule.alertname for rule in named} == {"Broken", "Worse"}
        assert all(rule.health == "ok" and NOW - rule.evaluated_at <= 45 for rule in named)
    assert (verdict.breached_at is not None) is (verdict.kind is REGRESSION)
    assert verdict.kind is not REGRESSION or answer == fires("Broken")


# Both


def pushed(*, firing: bool = True, received: float = NOW - 10, **labels: str) -> PushedAlert:
    found = {"alertname": "Broken", "namespace": "ns", "cluster": "west"} | labels
    return PushedAlert("Broken", firing, received, NOW - 50, NOW + 60, found)


RESOLVED = pushed(firing=False)


@pytest.mark.parametrize(
    ("name", "reading", "push", "kind"),
    [
        ("both say so", pulled(fires("Broken")), pushed(), REGRESSION),
        ("only the push", pulled(SILENT), pushed(), REGRESSION),
        ("only the push, and Prometheus is lost", pulled(LOST), pushed(), REGRESSION),
        ("only the push, and there is no rule", pulled(SILENT, SOUND), pushed(), REGRESSION),
        ("only the pull", pulled(fires("Broken")), None, REGRESSION),
        ("resolved after the poll", pulled(fires("Broken"), at=NOW - 11), RESOLVED, UNCLEAR),
        ("resolved, but pulled again since", pulled(fires("Broken"), at=NOW - 9), RESOLVED, REGRESSION),
        ("another one is resolved", pulled(fires("Broken"), at=NOW - 11), pushed(firing=False, pod="a"), REGRESSION),
        ("resolved, and the pull agrees", pulled(SILENT), RESOLVED, PASS),
        ("resolved, and Prometheus is lost", pulled(LOST), RESOLVED, NO_DATA),
    ],
)
def test_both_sources(name: str, reading: Reading, push: PushedAlert | None, kind: VerdictKind) -> None:
    samples = Samples((reading,), () if push is None else (push,), external_labels=("cluster",))
    assert judge(BOTH, samples, NOW).kind is kind, name


def test_an_alert_known_from_both_sources_is_one_alert() -> None:
    samples = Samples((pulled(fires("Broken")),), (pushed(),), external_labels=("cluster",))
    verdict = judge(BOTH, samples, NOW)
    assert verdict.sample_size == 1
    assert verdict.message == "Broken is firing, as Prometheus and Alertmanager said"
    apart = judge(BOTH, Samples((pulled(fires("Broken")),), (pushed(),)), NOW)
    assert apart.sample_size == 2, "the endpoint's external labels are not configured"


def test_each_source_alone_ignores_the_other() -> None:
    assert judge(PULL, Samples((pulled(SILENT),), (pushed(),)), NOW).kind is PASS
    alone = judge(firing_gate(), Samples((pulled(fires("Broken")),)), NOW)
    assert alone.kind is VerdictKind.NOT_APPLICABLE


def test_it_asks_for_the_alerts_of_its_rollout_and_for_their_rules() -> None:
    asked = questions(firing_gate("A.b", 'C"d', source="Both"), "search", "demo")
    meant = r'''alertname=~"A\\.b|C\"d",namespace="search",rollout=~"|demo"'''
    assert asked.query == (
        f'(ALERTS{{alertstate="firing",{meant}}} * 0 + ignoring (alertstate) ALERTS_FOR_STATE{{{meant}}})'
        f' or ignoring (alertstate) ALERTS{{alertstate="firing",{meant}}}'
    )
    assert asked.alertnames == ("A.b", 'C"d')
