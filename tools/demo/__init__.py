"""``make demo``: one rollout walked up, rolled back twice, and the report that says how fast."""
