"""Fan-out of the published flag documents over flagd.sync.v1 and HTTP."""
