"""Runs Kafka nodes (KRaft, broker and controller in one process each) on loopback, as processes of this one.

With `Secured` a cluster has listeners with TLS and passwords too, beside the open one.

`a_kafka(folder)` is the way in: it formats, starts, waits until every node is a broker of the cluster, and stops
everything at the end. A `Node` can be killed and started again on the same ports with the same data. One node takes
about 5 s to start and 350 MB, three take about 10 s and 1.1 GB.

Standard library only.
"""

from __future__ import annotations

import secrets
import socket
import struct
import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tools.gobuild import cache_folder
from tools.kafka import jars

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

START_SECONDS: Final = 90.0
STOP_SECONDS: Final = 20.0


class KafkaFailed(RuntimeError):  # noqa: N818 - reads as the sentence it carries
    """A node did not start; the message ends with the tail of its log."""


@dataclass(frozen=True)
class Secured:
    """Listeners SASL_SSL, SASL_PLAINTEXT and SSL, the last for clients with a certificate of `authority`.

    `host` is the address of loopback that the certificate in `key_store` is for; `users` have passwords, for PLAIN and
    for SCRAM. The files are PEM, `key_store` has the key and the certificate.
    """

    host: str
    key_store: Path
    authority: Path
    users: Mapping[str, str]


@dataclass
class Node:
    """One broker and controller; `port` is where clients come in, `secured` where they do with TLS or passwords."""

    id: int
    host: str
    port: int
    controller_port: int
    folder: Path
    secured: Mapping[str, int] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start the process; it is ready when `brokers_of` its address names it. It ends with the calling thread."""
        # Nobody else would stop it after a kill -9 of this process.
        with_parent = ("setpriv", "--pdeathsig", "KILL")
        command = [*with_parent, *_java("kafka.Kafka", self.folder / "server.properties")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)

    def kill(self) -> None:
        """Send SIGKILL, and wait until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(STOP_SECONDS)


@dataclass(frozen=True)
class Kafka:
    """A cluster of nodes."""

    nodes: tuple[Node, ...]

    @property
    def bootstrap(self) -> str:
        """Every node's address, separated by commas, as clients take it."""
        return ",".join(node.address for node in self.nodes)

    def secured(self, protocol: str) -> str:
        """Every node's address for SASL_SSL, SASL_PLAINTEXT or SSL."""
        return ",".join(f"{node.host}:{node.secured[protocol]}" for node in self.nodes)

    def set_password(self, user: str, password: str) -> None:
        """Give a user another password for SCRAM-SHA-512; connections that are open stay. Raises KafkaFailed."""
        change = ("--alter", "--add-config", f"SCRAM-SHA-512=[password={password}]")
        who = ("--entity-type", "users", "--entity-name", user)
        _run("kafka.admin.ConfigCommand", "--bootstrap-server", self.bootstrap, *change, *who)

    def wait(self, seconds: float = START_SECONDS) -> None:
        """Wait until every running node knows all running nodes as brokers. Raises KafkaFailed when one ends."""
        wanted = {node.id for node in self.nodes if node.running}
        until = time.monotonic() + seconds
        for node in self.nodes:
            if node.id not in wanted:
                continue
            while not wanted <= brokers_of(node.address):
                if not node.running or time.monotonic() > until:
                    said = node.log.read_text(errors="replace")[-2_000:]
                    state = "is not ready in time" if node.running else "ended"
                    raise KafkaFailed(f"Kafka node {node.id} {state}; the end of {node.log}:\n{said}")
                time.sleep(_POLL_SECONDS)


@contextmanager
def a_kafka(
    folder: Path,
    nodes: int = 1,
    secured: Secured | None = None,
    *,
    creates_topics: bool = True,
    checks_rights: bool = False,
) -> Iterator[Kafka]:
    """Run a cluster with its data and logs in `folder`, ready to serve.

    Topics have three partitions and a replica on each node (two must acknowledge, of three), and are created at first
    use, unless not `creates_topics`. With `checks_rights` users may do only what they are given rights for; who comes
    in by the open listener may do everything.
    Raises ToolMissing when Java is missing or the jars are not in the cache, KafkaFailed when a node does not start.
    """
    with ExitStack() as stack:
        more = {} if creates_topics else {"auto.create.topics.enable": "false"}
        more |= _RIGHTS if checks_rights else {}
        kafka = Kafka(_formatted(folder, nodes, secured, more))
        for node in kafka.nodes:
            stack.callback(node.kill)  # its data goes with the folder, and a last node waits long for the others
            node.start()
        kafka.wait()
        yield kafka


def brokers_of(address: str) -> set[int]:
    """The ids of the brokers that the broker at `address` knows; empty while it does not answer."""
    host, port = address.split(":")
    # Header version 1 (Metadata is key 3, here version 4), then: no topics, and create none.
    request = struct.pack(">hhih", 3, 4, 1, -1) + struct.pack(">i?", 0, False)
    try:
        with socket.create_connection((host, int(port)), timeout=_ASK_SECONDS) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as stream:
                (length,) = struct.unpack(">i", stream.read(4))
                return _broker_ids(stream.read(length))
    except (OSError, struct.error):
        return set()


def _broker_ids(answer: bytes) -> set[int]:
    """The brokers of a Metadata answer, version 4: after correlation id and throttle time comes their array."""
    _, _, count = struct.unpack_from(">iii", answer)
    at, ids = 12, set()
    for _ in range(count):
        broker, host_length = struct.unpack_from(">ih", answer, at)
        at += 6 + host_length + 4
        (rack_length,) = struct.unpack_from(">h", answer, at)
        at += 2 + max(0, rack_length)
        ids.add(broker)
    return ids


def _formatted(folder: Path, count: int, secured: Secured | None, more: Mapping[str, object]) -> tuple[Node, ...]:
    # An address of its own, so that no client's random port takes that of a node which is down for a while.
    host = secured.host if secured else f"127.12.{secrets.randbelow(256)}.{1 + secrets.randbelow(254)}"
    protocols = _SECURED if secured else ()
    ports = iter(_free_ports(host, count * (2 + len(protocols))))
    nodes = tuple(
        Node(n, host, next(ports), next(ports), folder / f"kafka-{n}", {name: next(ports) for name in protocols})
        for n in range(1, count + 1)
    )
    users = secured.users.items() if secured else ()
    scram = [f"--add-scram={kind}=[name={user},password={word}]" for kind in _SCRAM for user, word in users]
    for node in nodes:
        node.folder.mkdir(parents=True)
        values = _properties(node, nodes) | (_security(node, secured) if secured else {}) | dict(more)
        text = "".join(f"{name}={value}\n" for name, value in values.items())
        (node.folder / "server.properties").write_text(text, encoding="utf-8")
        _run("kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", node.folder / "server.properties", *scram)
    return nodes


def _properties(node: Node, nodes: tuple[Node, ...]) -> dict[str, object]:
    voters = ",".join(f"{each.id}@{each.host}:{each.controller_port}" for each in nodes)
    replicas = min(3, len(nodes))
    return {
        "process.roles": "broker,controller",
        "node.id": node.id,
        "controller.quorum.voters": voters,
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{node.address},CONTROLLER://{node.host}:{node.controller_port}",
        "log.dirs": node.folder / "data",
        "num.partitions": 3,
        "default.replication.factor": replicas,
        "min.insync.replicas": min(2, replicas),
        "offsets.topic.num.partitions": 3,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.num.partitions": 3,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": min(2, replicas),
        # Tests kill nodes and wait for the next leader: a dead one is noticed in 2 s and not in 9.
        "broker.session.timeout.ms": 2_000,
        "broker.heartbeat.interval.ms": 500,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1_000,
    }


def _security(node: Node, secured: Secured) -> dict[str, object]:
    ports = {"PLAINTEXT": node.port, **node.secured, "CONTROLLER": node.controller_port}
    kinds = {name: "PLAINTEXT" if name == "CONTROLLER" else name for name in ports}
    users = " ".join(f'user_{user}="{word}"' for user, word in secured.users.items())
    values: dict[str, object] = {
        "listeners": ",".join(f"{name}://{node.host}:{port}" for name, port in ports.items()),
        "listener.security.protocol.map": ",".join(f"{name}:{kind}" for name, kind in kinds.items()),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": secured.key_store,
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": secured.authority,
        "listener.name.ssl.ssl.client.auth": "required",
    }
    for name in ("sasl_ssl", "sasl_plaintext"):
        of = f"listener.name.{name}"
        values[f"{of}.sasl.enabled.mechanisms"] = ",".join(("PLAIN", *_SCRAM))
        values[f"{of}.plain.sasl.jaas.config"] = f"{_LOGIN}.plain.PlainLoginModule required {users};"
        for kind in _SCRAM:
            values[f"{of}.{kind.lower()}.sasl.jaas.config"] = f"{_LOGIN}.scram.ScramLoginModule required;"
    return values


def _run(program: str, *arguments: object) -> None:
    command = _java(program, *arguments)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise KafkaFailed(f"{program} failed:\n{done.stdout}{done.stderr}")


def _java(program: str, *arguments: object) -> list[str]:
    # The first compiler only and one collector thread: starts in half the time on two cores.
    flags = ("-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
    folder = jars.installed(cache_folder())
    return [jars.java(), *flags, "-cp", f"{folder}/*", program, *map(str, arguments)]


def _free_ports(host: str, count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((host, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


_CLUSTER_ID: Final = "dmVyaXJhbXAta2Fma2EtMQ"  # 16 bytes in base64url, as Kafka wants them
_SECURED: Final = ("SASL_SSL", "SASL_PLAINTEXT", "SSL")
_SCRAM: Final = ("SCRAM-SHA-256", "SCRAM-SHA-512")
_RIGHTS: Final = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",  # that of the open listener, and of the nodes among themselves
}
_LOGIN: Final = "org.apache.kafka.common.security"
_POLL_SECONDS: Final = 0.1
_ASK_SECONDS: Final = 2.0
