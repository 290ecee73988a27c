"""Kubernetes: reads, server-side apply, finalizer, Lease, Events."""
