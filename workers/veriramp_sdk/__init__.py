"""What a search service imports: the flags contract, bucketing, wire events, trigger and ranker."""

__version__ = "0.1.0"
