"""``make pipeline``: the verification pipeline on one machine, without a cluster."""
