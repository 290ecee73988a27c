"""A small search service that obeys the flags: the reference integration."""
