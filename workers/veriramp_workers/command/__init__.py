"""Commands that the ``veriramp`` command line finds through the entry points ``veriramp.commands``."""
