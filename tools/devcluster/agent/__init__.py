"""The node agent: a small kubelet that runs pods as local processes and forwards Services to them.

`python -m tools.devcluster.agent CONFIG` runs it. From the edge inwards: `api` talks to the API server, `node`
keeps the Node alive, `pods` starts a `pod` worker per pod, which drives `container`s with their `probes`;
`environment`, `volumes`, `launch` and `podstatus` turn the pod's spec into a process and back into a status;
`services` forwards ClusterIPs.
"""

from __future__ import annotations
