"""Messages in, messages out: one consumer core for every worker, at least once, nothing lost."""
