"""Every CamelCase reason that a finding, a condition, a verdict or an Event may carry: one enum, one page."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why the rollout is where it is."""

    # Falls (pass A)
    DELETING = "Deleting"
    KILL_SWITCH = "KillSwitch"
    SHADOW_REQUESTED = "ShadowRequested"
    REGRESSION = "Regression"
    NO_DATA_TOO_LONG = "NoDataTooLong"
    INCONCLUSIVE_TOO_LONG = "InconclusiveTooLong"
    STEP_DOWN = "StepDown"
    ABOVE_TARGET = "AboveTarget"
    FLAGS_MISSING = "FlagsMissing"
    # At rest (pass B)
    ROLLED_BACK = "RolledBack"
    INVALID_SPEC = "InvalidSpec"
    UNKNOWN_ENDPOINT = "UnknownEndpoint"
    UNKNOWN_PROFILE = "UnknownProfile"
    ABOVE_CEILING = "AboveCeiling"
    NAME_CONFLICT = "NameConflict"
    QUERY_REFUSED = "QueryRefused"
    DOCUMENT_REFUSED = "DocumentRefused"
    PRECONDITION_FAILING = "PreconditionFailing"
    PAUSED = "Paused"
    NOT_PROPAGATED = "NotPropagated"
    NO_CONSUMERS = "NoConsumers"
    NO_DATA = "NoData"
    WORKERS_NOT_READY = "WorkersNotReady"
    SAMPLE_RATIO_MISMATCH = "SampleRatioMismatch"
    EVIDENCE_LEANS_BAD = "EvidenceLeansBad"
    WINDOW_CLOSED = "WindowClosed"
    RAMP_STEP = "RampStep"
    RAMPING = "Ramping"
    BAKING = "Baking"
    APPROVAL_REQUIRED = "ApprovalRequired"
    INCONCLUSIVE = "Inconclusive"
    PROMOTE = "Promote"
    GUARDING = "Guarding"
    # Conditions
    PENDING = "Pending"
    CONFIRMED = "Confirmed"
    AVAILABLE = "Available"
    NOT_ROLLED_BACK = "NotRolledBack"
    NOT_STALLED = "NotStalled"
    SETTLED = "Settled"
    # Requests
    REQUEST_DONE = "RequestDone"
    REQUEST_REFUSED = "RequestRefused"
    # Deletion
    SAFE_OFF = "SafeOff"


class NoDataReason(StrEnum):
    """Why a gate has no verdict, or no good one: each its own reason."""

    REFUSED = "Refused"
    TIMEOUT = "Timeout"
    SERVER_ERROR = "ServerError"
    CLIENT_ERROR = "ClientError"
    BAD_QUERY = "BadQuery"
    PARTIAL_RESPONSE = "PartialResponse"
    EMPTY = "Empty"
    NOT_A_NUMBER = "NotANumber"
    NOT_POSITIVE = "NotPositive"
    WRONG_TYPE = "WrongType"
    TOO_LARGE = "TooLarge"
    SEVERAL_SERIES = "SeveralSeries"
    TOO_OLD = "TooOld"
    NOT_PRESENT = "NotPresent"
    NOT_YET_EXPOSED = "NotYetExposed"
    NEVER_ASKED = "NeverAsked"
    CATCHING_UP = "CatchingUp"
    RULE_MISSING = "RuleMissing"
