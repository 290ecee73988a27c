"""The verifier over HTTP: a client of the contract, and the embedded verifier as a service under the same contract.

Public names: :class:`~veriramp_workers.verifier_http.client.RemoteVerifier` (implements the port ``Verifier``),
:class:`~veriramp_workers.verifier_http.client.RemoteSettings`,
:class:`~veriramp_workers.verifier_http.client.RemoteMetrics`,
:class:`~veriramp_workers.verifier_http.service.VerifierService` and
:class:`~veriramp_workers.verifier_http.service.ServiceMetrics`.
"""

from __future__ import annotations

from veriramp_workers.verifier_http.client import RemoteMetrics, RemoteSettings, RemoteVerifier
from veriramp_workers.verifier_http.service import ServiceMetrics, VerifierService

__all__ = ["RemoteMetrics", "RemoteSettings", "RemoteVerifier", "ServiceMetrics", "VerifierService"]
