"""A flag document from a file: what it may say, what is refused, and that going down always works."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.hostile_yaml import LAUGHTER, MERGED
from veriramp_operator.api.errors import ConfigurationError
from veriramp_operator.api.vector import Vector
from veriramp_operator.flagserver.file import MOST_BYTES, FileFollower, document_of, says_off
from veriramp_operator.flagserver.hub import Hub
from veriramp_operator.flagserver.store import CONFIRMATION_SECONDS, Store
from veriramp_operator.resources.flags import FlagDocument, arm_at, self_check
from veriramp_sdk.contract import Arm, Mode
from veriramp_sdk.document import Document, read_document

ROLLOUT = "search/demo"
LIVE = f"rollout: {ROLLOUT}\nmode: Live\nsamplingRate: 1\ncanaryPercent: 50\nrankingWeight: 0.15\n"
SHADOW = f"rollout: {ROLLOUT}\nmode: Shadow\nsamplingRate: 0.5\n"
OFF = f"rollout: {ROLLOUT}\nmode: Off\n"


def document(text: str, held: FlagDocument | None = None) -> FlagDocument:
    return document_of(text.encode(), held, "uid", "flags.yaml")


class World:
    """A follower with a clock of the test's: each look is a tenth of a second later."""

    def __init__(self, path: Path, text: str = LIVE) -> None:
        self.path = path
        self.now = 1_000_000.0
        self.store = Store()
        self.follower = FileFollower(path, self.store, Hub(self.store), lambda: self.now)
        path.write_text(text)
        self.follower.begin()

    def looks(self, count: int = 2) -> None:
        for _ in range(count):
            self.now += 0.1
            self.follower.look()

    def write(self, text: str) -> None:
        self.path.write_text(text)
        self.looks()

    @property
    def served(self) -> Document:
        return read_document(self.store.payload(ROLLOUT).text, "demo")

    @property
    def state(self) -> tuple[int, Mode]:
        return self.served.revision, self.served.mode


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "flags.yaml")


def test_it_says_what_one_stage_of_a_rollout_says() -> None:
    made = document(
        f"{LIVE}topK: 5\n"
        "flags:\n  key: verification\n  leaseSeconds: 30\n  include: [{attribute: group, equals: staff}]\n"
        "workers: [{profile: orchestrator, settings: {maxConcurrentVerifications: 3}}]\n"
    )
    assert (made.namespace, made.rollout, made.key) == ("search", "demo", "verification")
    assert (made.uid, made.revision, made.lease_seconds) == ("uid", 1, 30)
    assert made.vector == Vector(mode=Mode.LIVE, sampling_rate=1, canary_percent=50, ranking_weight=0.15, top_k=5)
    assert self_check(made, None, made.vector) == ()
    assert arm_at(made, {"bucket": 9999, "group": "staff"}) is Arm.FORCED
    read = read_document(made.text, "verification")
    assert read.settings == {"orchestrator": {"maxConcurrentVerifications": 3}}


def test_the_first_document_that_a_client_gets_is_on(world: World) -> None:
    assert world.served.lease_until == world.now + 240


def test_users_keep_their_arms_over_a_restart() -> None:
    one, other = document(LIVE), document_of(LIVE.encode(), None, "another start", "elsewhere.yaml")
    assert (one.salt, one.sample_salt) == (other.salt, other.sample_salt)
    assert one.salt != one.sample_salt


def test_the_same_words_are_the_same_revision_and_others_are_the_next() -> None:
    first = document(LIVE)
    assert document(f"# a comment\n{LIVE}", first) is first
    assert document(SHADOW, first).revision == 2
    assert document(LIVE, document(SHADOW, first)).revision == 3, "what stood there before does not go back"


@pytest.mark.parametrize("text", [OFF, OFF.lower(), f'rollout: {ROLLOUT}\nmode: "Off"\n', f"{OFF}canaryPercent: 50"])
def test_off_is_off_however_yaml_reads_the_word(text: str) -> None:
    assert document(text.replace('"off"', "Off")).vector == Vector()


def test_shadow_leaves_numbers_of_live_without_effect() -> None:
    made = document(LIVE.replace("Live", "Shadow"))
    assert made.vector == Vector(mode=Mode.SHADOW, sampling_rate=1)


BAD = [
    ("", "it holds no fields; write at least rollout: namespace/name and mode"),
    ("- Live", "it holds no fields"),
    ("mode: [", r"this is no YAML \(line 1\)"),
    (f"{LIVE}mode: Shadow", r"\(line 6\): the key \"mode\" stands twice; keep one"),
    ("mode: Live", "rollout is missing; write namespace/name"),
    (f"rollout: {ROLLOUT}", "mode is missing; write Off, Shadow or Live"),
    ("rollout: demo\nmode: Live", "rollout is 'demo'; write namespace/name"),
    (f"rollout: {ROLLOUT}\nmode: live", "mode: Input should be 'Off', 'Shadow' or 'Live'"),
    (f"{SHADOW}sampling: 1", "there is no field sampling; write one of rollout, mode, samplingRate, canaryPercent"),
    (f"{SHADOW}flags: {{lease: 1}}", "there is no field flags.lease; write one of key, leaseSeconds"),
    (f"{SHADOW}flags: {{leaseSeconds: 5}}", r"leaseSeconds 5 is too short .* write 30\.\.3600, or 0 for no lease"),
    (LIVE.replace("0.15", "0.2"), r"rankingWeight: .* less than or equal to 0\.15 \(found 0\.2\)"),
    (LIVE.replace("Rate: 1", "Rate: '1'"), r"samplingRate: .* valid number \(found '1'\)"),
    (LIVE.replace("Rate: 1", "Rate: .nan"), "samplingRate: .*"),
    (f"{SHADOW}workers: [{{profile: a}}, {{profile: a}}]", 'two workers have the profile "a"'),
    (f"{SHADOW}workers: [{{profile: a, setings: {{}}}}]", "there is no field workers.0.setings; write one of profile"),
    ("\udcff", "this is no YAML"),
    (f"{SHADOW}workers: [{{profile: a, settings: {{x: .inf}}}}]", r"workers\.0\.settings\.x\S*: .* \(found inf\)"),
    (
        f'{SHADOW}flags: {{include: [{{attribute: a, equals: "\\ud800"}}]}}',
        "it cannot be read: Invalid JSON",
    ),
    ("&a [*a]", r"the alias \*a stands within what it stands for; write it out"),
    (f"{SHADOW}topK: {'9' * 5000}", "this is no YAML"),
    (LAUGHTER, r"\(line 7\): the aliases up to \*f stand for more than 1000000 characters; write out"),
    (MERGED, r"\(line 7\): the aliases up to \*f stand for more than"),
]


@pytest.mark.parametrize(("text", "sentence"), BAD, ids=[sentence for _, sentence in BAD])
def test_a_bad_file_is_told_in_one_sentence_and_the_last_good_one_stays(
    text: str, sentence: str, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    content = text.encode("utf-8", "surrogateescape")
    with pytest.raises(ConfigurationError, match=rf"^flags\.yaml: .*{sentence}"):
        document_of(content, None, "uid", "flags.yaml")
    world.path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        world.looks(3000)
    assert world.state == (1, Mode.LIVE)
    assert world.served.lease_until > world.now + 100, "the lease goes on"
    (record,) = caplog.records
    assert "stays in force: revision 1, Live rate=1" in record.getMessage()
    world.write(SHADOW)
    assert world.state == (2, Mode.SHADOW)


@pytest.mark.parametrize(
    "text",
    [
        "mode: Off",
        f"{OFF}what: is this",
        f"{{rollout: {ROLLOUT}, mode: off, topK: many}}",
        "mode: Off\nrollout: [",
        f"{LIVE}mode: Off",
        f"{LIVE}'mode' : 'OFF' # now!",
    ],
)
def test_off_is_obeyed_whatever_else_is_wrong(text: str, world: World) -> None:
    world.write(text)
    assert world.state == (2, Mode.OFF)
    world.write(LIVE)
    assert world.state == (3, Mode.LIVE)


def test_an_alias_is_what_it_stands_for() -> None:
    workers = "workers: [{profile: a, settings: &s {x: 1}}, {profile: b, settings: *s}]"
    assert document(f"{SHADOW}{workers}") == document(f"{SHADOW}{workers}".replace("&s ", "").replace("*s", "{x: 1}"))


@pytest.mark.parametrize("text", ["mode: Offline", "#mode: Off", "workers:\n  mode: Off\n [", "off", ""])
def test_what_does_not_say_off_is_not_off(text: str) -> None:
    assert not says_off(text.encode())


def test_a_file_that_goes_away_is_off_and_one_that_comes_back_is_the_next_revision(world: World) -> None:
    world.path.unlink()
    world.looks()
    assert world.state == (2, Mode.OFF)
    world.looks(1000)
    assert world.store.is_fresh(world.now)
    assert world.state == (2, Mode.OFF)
    world.write(LIVE)
    assert world.state == (3, Mode.LIVE)


def test_an_editor_that_is_not_done_changes_nothing(world: World) -> None:
    for end in range(len(SHADOW)):
        world.path.write_text(SHADOW[:end])
        world.looks(1)
        assert world.state == (1, Mode.LIVE)
    world.write(SHADOW)
    assert world.state == (2, Mode.SHADOW)


def test_a_mounted_configmap_is_followed_through_its_links(tmp_path: Path) -> None:
    """As Kubernetes mounts it: the file is a link into a link that is put in place of the former one."""
    for version, text in (("..1", LIVE), ("..2", SHADOW)):
        (tmp_path / version).mkdir()
        (tmp_path / version / "flags.yaml").write_text(text)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "flags.yaml").symlink_to("..data/flags.yaml")
    world = World(tmp_path / "flags.yaml")
    assert world.state == (1, Mode.LIVE)
    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").replace(tmp_path / "..data")
    (tmp_path / "..1" / "flags.yaml").unlink()
    world.looks()
    assert world.state == (2, Mode.SHADOW)


def test_a_file_that_cannot_be_read_ends_with_the_lease(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.looks(10)
    until = world.served.lease_until
    away = world.path.with_suffix(".away")
    world.path.rename(away)
    world.path.mkdir()  # root reads whatever the mode bits say, but no folder
    with caplog.at_level(logging.INFO):
        world.looks(1 + int(10 * CONFIRMATION_SECONDS))
        assert world.served.lease_until == until, "nothing is stamped anew"
        assert not world.store.is_fresh(world.now), "clients are sent away, and keep what they have until then"
        assert caplog.text.count("it is no regular file; off when the lease ends") == 1
        world.path.rmdir()
        away.rename(world.path)
        world.looks(5)
    assert "can be read again" in caplog.text
    assert world.store.is_fresh(world.now)
    assert world.served.lease_until > until
    assert world.state == (1, Mode.LIVE)


def test_another_rollout_in_the_file_turns_the_first_one_off(world: World) -> None:
    world.write(LIVE.replace("demo", "other"))
    assert world.state == (2, Mode.OFF)
    other = world.store.document("search/other")
    assert other
    assert other.vector.mode is Mode.LIVE
    world.write(LIVE)
    assert world.state == (3, Mode.LIVE)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda _: None, "there is no such file"),
        (lambda path: path.mkdir(), "it is no regular file; name one that can be read"),
        (os.mkfifo, "it is no regular file"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links; name one"),
        (lambda path: path.write_text("mode: Off"), "rollout is missing"),
        (lambda path: path.write_text("#" * (MOST_BYTES + 1)), "more than 65536 bytes"),
    ],
)
def test_a_start_needs_a_good_file(make: object, sentence: str, tmp_path: Path) -> None:
    assert callable(make)
    path, store = tmp_path / "flags.yaml", Store()
    make(path)
    with pytest.raises(ConfigurationError, match=rf"flags\.yaml: .*{sentence}"):
        FileFollower(path, store, Hub(store), lambda: 0.0).begin()


def _yaml(raw: Mapping[str, object]) -> bytes:
    return yaml.safe_dump({"rollout": ROLLOUT, "mode": "Live", **raw}).encode()


WORDS = ["mode", "samplingRate", "topK", "flags", "workers", "key", "leaseSeconds", "include", "attribute", "equals"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(ROLLOUT),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=8,
)


@example(b"[" * 1000)
@given(st.binary() | st.dictionaries(st.sampled_from(WORDS), VALUES).map(_yaml))
def test_whatever_stands_in_it_is_a_document_or_one_sentence(content: bytes) -> None:
    says_off(content)
    try:
        made = document_of(content, None, "uid", "flags.yaml")
        told = self_check(made, None, made.vector)
    except ConfigurationError as error:
        told = tuple(str(error).splitlines()[1:])
    assert told == ()


CONTENTS = st.sampled_from([LIVE, SHADOW, OFF, "mode: Off", "mode: [", "", LIVE.replace("50", "5"), None])


@given(st.lists(st.tuples(CONTENTS, st.integers(1, 3)), max_size=20))
def test_on_every_way_revisions_grow_and_down_is_down(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str | None, int]]
) -> None:
    world = World(tmp_path_factory.mktemp("walk") / "flags.yaml")
    highest, uid = 1, world.served.uid
    for text, looks in steps:
        world.path.unlink(missing_ok=True)
        if text is not None:
            world.path.write_text(text)
        before = world.state
        world.looks(looks)
        revision, mode = world.state
        assert (world.served.uid, revision >= highest) == (uid, True)
        assert world.state == before or revision > before[0], "nothing changes within a revision"
        highest = revision
        if looks > 1 and (text is None or says_off(text.encode())):
            assert mode is Mode.OFF
        if looks > 1 and text == LIVE:
            assert mode is Mode.LIVE
