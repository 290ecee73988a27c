"""The errors of the dev cluster.

DevClusterError         what the person or the test asked for cannot be had; the message says what to do
"""

from __future__ import annotations


class DevClusterError(RuntimeError):
    """Something a person can act on: the message names the cause and what to write or run instead."""
