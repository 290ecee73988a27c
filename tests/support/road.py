"""One rollout on the installed product: its search service, its flag documents over time, its status.

with Road.start(product, "road-1", ladder("road-1")) as road:
    road.until_weight(0.02)
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Self

import httpx

from tests.support.product import SECONDS, Object, Product
from tests.support.waiting import wait_for
from tools.demo.installation import deploy_search, search_urls
from tools.demo.load import search_load
from veriramp_operator.api.status import RolloutStatus
from veriramp_operator.api.vector import Vector
from veriramp_operator.engine.types import Direction, Published
from veriramp_operator.resources.published import published_from

NAME: Final = "verification"
MERGE: Final = {"Content-Type": "application/merge-patch+json"}
USERS: Final = 400
RATE: Final = 30.0
_COUNTED: Final = ("errors", "requests")
_TREATED: Final = 'veriramp_search_{what}_total{{namespace="{namespace}", arm="treatment"}}[5s]'


def ladder(namespace: str, **fields: Any) -> Object:
    """The spec of a short plan under real load: shadow, an A/A stage, a ramp of 20 steps, then half of the users."""
    errors, requests = (f"sum(rate({_TREATED.format(what=what, namespace=namespace)}))" for what in _COUNTED)
    selector = f'veriramp_search_requests_total{{namespace="{namespace}"}}'
    alert = {"expr": f"{errors} / {requests} > 0.05", "presence": {"query": f"sum(rate({selector}[5s]))", "min": 0.5}}
    ramp = {"duration": "40s", "interval": "2s"}
    return {
        "flags": {"leaseSeconds": 60, "propagation": {"quorum": 1, "timeout": "10s"}},
        "workers": [{"profile": "orchestrator", "replicas": {"min": 1}}],
        "stages": [
            {"name": "shadow", "mode": "Shadow", "samplingRate": 0.2, "bake": "1s"},
            {"name": "a-a", "mode": "Live", "canaryPercent": 20, "bake": "1s"},
            {"name": "weight", "mode": "Live", "rankingWeight": 0.1, "ramp": ramp, "bake": "1s"},
            {"name": "half", "mode": "Live", "canaryPercent": 50, "bake": "1s"},
        ],
        "gates": [
            {"name": "errors", "alert": alert, "selector": selector, **_OFTEN, "onRegression": "Shadow"},
            {
                "name": "pager",
                "firing": {"alertnames": ["SearchBroken"], "source": "Push"},
                "required": False,
                "onRegression": "KillSwitch",
            },
        ],
        **fields,
    }


def calm(**fields: Any) -> Object:
    """The spec of a plan that needs no load: a Live stage within seconds, guarded by the cluster's own metrics."""
    gate = {"name": "scraped", "threshold": {"query": "count(up)", "min": 1}, "selector": "up", "window": "1s"}
    ramp = {"duration": "4s", "interval": "1s"}
    return {
        "flags": {"leaseSeconds": 60, "propagation": {"quorum": 1, "timeout": "10s"}},
        "stages": [
            {"name": "shadow", "mode": "Shadow", "samplingRate": 0.2, "bake": "1s"},
            {"name": "live", "mode": "Live", "canaryPercent": 100, "rankingWeight": 0.1, "ramp": ramp, "bake": "1s"},
        ],
        "gates": [{**gate, **_OFTEN, "onRegression": "Shadow"}],
        **fields,
    }


_OFTEN: Final = {"every": "1s", "maxAge": "5s"}


@dataclass(frozen=True, slots=True)
class Document:
    """What was published at one moment (seconds since the epoch); None: the ConfigMap was deleted."""

    at: float
    published: Published | None


@dataclass
class Documents:
    """Watches the flag ConfigMap of a rollout from its beginning; `seen` has every version of it, in order."""

    client: httpx.Client
    namespace: str
    seen: list[Document] = field(default_factory=list)
    on_fall: Callable[[], object] | None = None
    """Called once, in the watching thread, as soon as a falling document is seen."""

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="documents", daemon=True)
        self._version = "0"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=10)

    def since(self, at: float) -> list[Published]:
        """What has been published since a moment."""
        return [document.published for document in tuple(self.seen) if document.at >= at and document.published]

    def vectors(self, since: float = 0.0) -> list[Vector]:
        """The vectors of what has been published since a moment, in order."""
        return [document.vector for document in self.since(since)]

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._watch()
            except httpx.TransportError:
                self._stop.wait(0.05)

    def _watch(self) -> None:
        path = f"/api/v1/namespaces/{self.namespace}/configmaps"
        query = {
            "watch": "1",
            "fieldSelector": f"metadata.name={NAME}-flags",
            "resourceVersion": self._version,
            "timeoutSeconds": "2",
        }
        with self.client.stream("GET", path, params=query) as answer:
            if not answer.is_success:  # the API server has too much to do
                self._stop.wait(0.2)
                return
            for line in answer.iter_lines():
                self._take(json.loads(line))
                if self._stop.is_set():
                    return

    def _take(self, event: Object) -> None:
        raw = event["object"]
        if event["type"] == "ERROR":
            self._version = "0"
            return
        self._version = raw["metadata"]["resourceVersion"]
        published = None if event["type"] == "DELETED" else published_from(raw)
        self.seen.append(Document(time.time(), published))
        if published is not None and published.direction is Direction.FALL and self.on_fall is not None:
            act, self.on_fall = self.on_fall, None
            act()


@dataclass
class Road:
    """A rollout named `verification` in a namespace, obeyed by a search service of two processes."""

    product: Product
    namespace: str
    search_namespace: str
    documents: Documents
    search: tuple[str, ...]

    @classmethod
    @contextmanager
    def start(cls, product: Product, namespace: str, spec: Object, *, search_apart: bool = False) -> Iterator[Road]:
        """Make the namespace (`search_apart`: another one for the search service), start search, apply the rollout."""
        place = f"{namespace}-search" if search_apart else namespace
        with ExitStack() as stack:
            for name in sorted({namespace, place}):
                stack.enter_context(product.namespace(name))
            client = stack.enter_context(product.cluster.client())
            deploy_search(product.cluster, place, f"{namespace}/{NAME}")
            documents = stack.enter_context(Documents(client, namespace))
            road = cls(product, namespace, place, documents, search_urls(product.cluster, place))
            stack.callback(road.delete)
            road.apply(spec)
            yield road

    @property
    def path(self) -> str:
        """Where the API server keeps the rollout."""
        return f"/apis/veriramp.dev/v1alpha1/namespaces/{self.namespace}/verificationrollouts/{NAME}"

    @contextmanager
    def load(self, folder: Path) -> Iterator[None]:
        """Have users search."""
        with search_load(self.search, folder / f"load-{self.namespace}.json", users=USERS, rate=RATE):
            yield

    def apply(self, spec: Object) -> None:
        """Create or replace the rollout."""
        manifest = {
            "apiVersion": "veriramp.dev/v1alpha1",
            "kind": "VerificationRollout",
            "metadata": {"name": NAME, "namespace": self.namespace},
            "spec": spec,
        }
        answer = self.product.client.patch(
            self.path,
            params={"fieldManager": "person", "force": "true"},
            headers={"Content-Type": "application/apply-patch+yaml"},
            json=manifest,
        )
        assert answer.is_success, answer.text

    def annotate(self, **annotations: str) -> None:
        """Write request annotations: ``annotate(abort="1")`` writes ``veriramp.dev/abort: "1"``."""
        notes = {f"veriramp.dev/{name}": value for name, value in annotations.items()}
        body = {"metadata": {"annotations": notes}}
        self.product.client.patch(self.path, headers=MERGE, json=body).raise_for_status()

    def delete(self, propagation: str = "Background") -> None:
        """Delete the rollout, if it is still there."""
        self.product.client.request("DELETE", self.path, json={"propagationPolicy": propagation})

    def exists(self) -> bool:
        """Whether the rollout is still there."""
        return self.product.client.get(self.path).status_code != httpx.codes.NOT_FOUND

    def raw(self) -> Object:
        """The rollout as stored."""
        return dict(self.product.client.get(self.path).raise_for_status().json())

    def status(self) -> RolloutStatus:
        """Its status."""
        return RolloutStatus.model_validate(self.raw().get("status") or {})

    def condition(self, kind: str) -> str:
        """The status of a condition."""
        return next((each.status for each in self.status().conditions if each.type == kind), "")

    def until(self, what: str, holds: Callable[[RolloutStatus], bool], seconds: float = SECONDS) -> RolloutStatus:
        """Wait until the status is so; tells where the rollout is when it never is."""
        last = RolloutStatus()

        def so() -> bool:
            nonlocal last
            last = self.status()
            return holds(last)

        try:
            wait_for(so, seconds, what)
        except AssertionError as error:
            raise AssertionError(f"{error}: {last.phase} {last.reason} {last.message} at {last.parameters}") from error
        return last

    def until_weight(self, weight: float, seconds: float = SECONDS) -> RolloutStatus:
        """Wait until at least this ranking weight is in force."""
        return self.until(f"weight {weight}", lambda seen: _weight(seen) >= weight, seconds)

    def vector(self) -> Vector:
        """The vector that is published now; Off when there is no document."""
        answer = self.product.client.get(f"/api/v1/namespaces/{self.namespace}/configmaps/{NAME}-flags")
        published = published_from(answer.json()) if answer.is_success else None
        return published.vector if published else Vector()

    def watched(self) -> int:
        """How many versions of the flag document were seen, once the watch has told the one that is in force."""
        revision = self.status().flags
        assert revision is not None

        def told() -> bool:
            seen = self.documents.seen[-1].published if self.documents.seen else None
            return seen is not None and seen.revision >= revision.revision

        wait_for(told, SECONDS, f"the watch to tell revision {revision.revision}")
        return len(self.documents.seen)

    def modes(self) -> list[str]:
        """The mode that each search process evaluates for a user now; "gone" for one that does not answer."""
        return [self._asked(url).get("mode", "gone") for url in self.search]

    def until_modes(self, mode: str, seconds: float) -> float:
        """Wait until every search process evaluates so; the seconds that it took."""
        began = time.monotonic()
        wait_for(lambda: set(self.modes()) == {mode}, seconds, f"every search process to be {mode}: {self.namespace}")
        return time.monotonic() - began

    def _asked(self, url: str) -> Object:
        try:
            answer = httpx.get(f"{url}/search", params={"q": "storage", "user": "user-1"}, timeout=30, trust_env=False)
        except httpx.TransportError:
            return {}
        return dict(answer.json())


def climbs(path: list[Vector]) -> list[tuple[Vector, Vector]]:
    """The steps of a path that raised something."""
    return [(before, after) for before, after in pairwise(path) if not after.is_at_most(before)]


def steepest(path: list[Vector]) -> float:
    """The largest step of the ranking weight on a path."""
    return max((after.ranking_weight - before.ranking_weight for before, after in climbs(path)), default=0.0)


def _weight(status: RolloutStatus) -> float:
    return status.parameters.ranking_weight if status.parameters else 0.0
