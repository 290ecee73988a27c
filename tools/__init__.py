"""Programs round the product: builders, generators, and the dev cluster."""
