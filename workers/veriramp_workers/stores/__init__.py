"""Verdict cache and daily budget, shared by all workers: SQLite, Redis or PostgreSQL.

Public names: :func:`open_stores`, :class:`Stores`, :class:`BudgetSettings`, :class:`StoreError`.
"""

from veriramp_workers.stores.backend import StoreError
from veriramp_workers.stores.opening import Stores, open_stores
from veriramp_workers.stores.settings import BudgetSettings

__all__ = ["BudgetSettings", "StoreError", "Stores", "open_stores"]
