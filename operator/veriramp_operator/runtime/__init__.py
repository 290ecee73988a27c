"""The process round the engine: queue, resync, one reconcile pass, health, metrics, settings."""
