"""The control plane of Veriramp."""
