"""Tables and functions in PostgreSQL, version 1.

Public names: :data:`SCHEMA_VERSION`, :data:`LOCK`, :data:`STATEMENTS`.
"""

from __future__ import annotations

from typing import Final

SCHEMA_VERSION: Final = 1
LOCK: Final = 7_305_868_811_402_190_341
"""Key of the advisory lock under which the tables are made."""

# The row of the day is locked first and that of the month last, by everybody: no two can wait for each other.
_PAY: Final = """
CREATE FUNCTION veriramp_pay(
    in_day text, in_tenant text, in_month text, in_digest bytea, in_free bigint, in_month_limit bigint, in_oldest text,
    OUT outcome text, OUT used_today bigint, OUT used_this_month bigint
) LANGUAGE plpgsql SET lock_timeout = '1500ms' AS $$
BEGIN
    INSERT INTO veriramp_budget_day VALUES (in_day, in_tenant, 0) ON CONFLICT DO NOTHING;
    SELECT used INTO used_today FROM veriramp_budget_day WHERE day = in_day AND tenant = in_tenant FOR UPDATE;
    SELECT used INTO used_this_month FROM veriramp_budget_month WHERE month = in_month;
    used_this_month := coalesce(used_this_month, 0);
    IF EXISTS (SELECT FROM veriramp_budget_paid WHERE day = in_day AND tenant = in_tenant AND digest = in_digest) THEN
        outcome := 'repeated';
        RETURN;
    END IF;
    IF used_today >= in_free THEN
        outcome := 'day';
        RETURN;
    END IF;
    INSERT INTO veriramp_budget_month AS had VALUES (in_month, 1)
        ON CONFLICT (month) DO UPDATE SET used = had.used + 1
        WHERE in_month_limit <= 0 OR had.used < in_month_limit
        RETURNING had.used INTO used_this_month;
    IF NOT FOUND THEN
        outcome := 'month';
        SELECT used INTO used_this_month FROM veriramp_budget_month WHERE month = in_month;
        RETURN;
    END IF;
    UPDATE veriramp_budget_day SET used = used + 1 WHERE day = in_day AND tenant = in_tenant;
    INSERT INTO veriramp_budget_paid VALUES (in_day, in_tenant, in_digest);
    IF used_today % 100 = 0 THEN
        DELETE FROM veriramp_budget_paid WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM veriramp_budget_paid WHERE day < in_oldest LIMIT 300 FOR UPDATE SKIP LOCKED));
        DELETE FROM veriramp_budget_day WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM veriramp_budget_day WHERE day < in_oldest LIMIT 300 FOR UPDATE SKIP LOCKED));
    END IF;
    outcome := 'granted';
    used_today := used_today + 1;
END $$
"""

_PRUNE: Final = """
CREATE FUNCTION veriramp_prune_cache(in_now double precision, in_most bigint, in_step bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    surplus bigint;
BEGIN
    DELETE FROM veriramp_cache WHERE ctid = ANY (ARRAY(SELECT ctid FROM veriramp_cache
        WHERE expires_at <= in_now ORDER BY expires_at LIMIT in_step FOR UPDATE SKIP LOCKED));
    surplus := (SELECT count(*) FROM veriramp_cache) - in_most;
    IF surplus > 0 THEN
        DELETE FROM veriramp_cache WHERE ctid = ANY (ARRAY(SELECT ctid FROM veriramp_cache
            ORDER BY expires_at LIMIT least(surplus, in_step) FOR UPDATE SKIP LOCKED));
    END IF;
END $$
"""

STATEMENTS: Final = (
    "CREATE TABLE veriramp_stores (version integer NOT NULL)",
    # What a crash of the server may empty needs no journal.
    """CREATE UNLOGGED TABLE veriramp_cache
    (key text PRIMARY KEY, value bytea NOT NULL, expires_at double precision NOT NULL)""",
    "CREATE INDEX veriramp_cache_expires_at ON veriramp_cache (expires_at)",
    "CREATE TABLE veriramp_budget_day (day text, tenant text, used bigint NOT NULL, PRIMARY KEY (day, tenant))",
    "CREATE TABLE veriramp_budget_month (month text PRIMARY KEY, used bigint NOT NULL)",
    "CREATE TABLE veriramp_budget_paid (day text, tenant text, digest bytea, PRIMARY KEY (day, tenant, digest))",
    _PAY,
    _PRUNE,
    "INSERT INTO veriramp_stores VALUES (1)",
)
