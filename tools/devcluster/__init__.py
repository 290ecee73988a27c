"""A real control plane, node agent, Prometheus and broker on one machine, as local processes.

`cluster.DevCluster` is the front door in Python, `python -m tools.devcluster` the one in a shell. Deployments,
probes, Services, RBAC and tokens are real; the only thing that is not is isolation: pods share the machine's
network, files and resources (docs/devcluster.md says what follows).
"""

from __future__ import annotations
