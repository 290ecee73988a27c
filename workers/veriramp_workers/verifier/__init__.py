"""The embedded verifier: controlled English or SMT-LIB in, a verdict with its grounds out.

Public names: :func:`~veriramp_workers.verifier.judge.judge` (one question, in this process) and
:class:`~veriramp_workers.verifier.pool.VerifierPool` (many, in isolated processes; implements the port ``Verifier``).
"""

from __future__ import annotations

from veriramp_workers.verifier.judge import FORMALISER_VERSION, NAME, VERSION, judge
from veriramp_workers.verifier.pool import VerifierPool
from veriramp_workers.verifier.prover import Limits

__all__ = ["FORMALISER_VERSION", "NAME", "VERSION", "Limits", "VerifierPool", "judge"]
