"""The custom resource as frozen models, its conditions, and the generator of its CRD."""
