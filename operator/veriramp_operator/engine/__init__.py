"""The pure core: one function that decides the next vector and says why."""
