"""Verdict cache and daily budget, shared by all workers: SQLite, Redis or PostgreSQL.

Public names: :class:`BudgetSettings`.
"""

from veriramp_workers.stores.settings import BudgetSettings

__all__ = ["BudgetSettings"]
