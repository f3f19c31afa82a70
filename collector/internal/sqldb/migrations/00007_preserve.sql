-- What comes after the evidence of an order to preserve, and how the boots of an
-- endpoint ended, as its own records say. Rows of boots are only ever added.
-- +goose Up
ALTER TABLE dispatch_command ADD COLUMN after_seal TEXT NOT NULL DEFAULT '';

CREATE TABLE endpoint_boot (
    acquisition_id    TEXT PRIMARY KEY,
    organisation_id   TEXT NOT NULL,
    endpoint_id       TEXT NOT NULL,
    evidence_id       TEXT NOT NULL,
    boot_id           TEXT NOT NULL,
    previous_boot_id  TEXT NOT NULL,
    verdict           TEXT NOT NULL,
    reason            TEXT NOT NULL,
    asked_by          TEXT NOT NULL,
    asked_type        TEXT NOT NULL,
    asked_who         TEXT NOT NULL,
    ended_after       TEXT NOT NULL,
    ended_before      TEXT NOT NULL,
    last_evidence_at  TEXT NOT NULL,
    gap_min_ns        BIGINT NOT NULL,
    gap_max_ns        BIGINT NOT NULL,
    clock_contradicts BIGINT NOT NULL,
    added_delay_ns    BIGINT NOT NULL,
    basis             TEXT NOT NULL,
    received_at       TEXT NOT NULL
);
CREATE INDEX endpoint_boot_endpoint ON endpoint_boot (endpoint_id, received_at);
