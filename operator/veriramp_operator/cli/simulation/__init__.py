"""A rollout in virtual time: the operator's own decisions and verdicts on synthetic evidence."""
