"""A search process that does nothing but follow its flags: one JSON line for each document, once it is evaluated.

``python client_program.py ADDRESS NAMESPACE/ROLLOUT KEY ID``; ends when its input is closed.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from veriramp_sdk.flags import Flags

if TYPE_CHECKING:
    from veriramp_sdk.decision import FlagState


def main(address: str, rollout: str, key: str, process_id: str) -> None:
    with Flags(address, rollout, key=key, process_id=process_id, registry=CollectorRegistry()) as flags:

        def changed(state: FlagState) -> None:
            decision = flags.decide("user-1", "query-1")
            at = time.time()
            sys.stdout.write(json.dumps({"revision": decision.revision, "mode": state.mode, "at": at}) + "\n")
            sys.stdout.flush()

        flags.on_change(changed)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
