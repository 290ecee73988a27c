"""Pure builders of what the operator writes: flag document, ConfigMap, Deployments, Events, status."""
