"""What the operator reads beside Kubernetes: Prometheus, Alertmanager pushes, propagation."""
