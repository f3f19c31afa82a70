-- What an order to isolate says beyond its verb, what an endpoint measured of it, what
-- happened to it without an order, and how an organisation isolates. Rows of events are
-- only ever added.
-- +goose Up
ALTER TABLE dispatch_command ADD COLUMN isolation TEXT NOT NULL DEFAULT '';
ALTER TABLE endpoint_endpoint ADD COLUMN isolation_more TEXT NOT NULL DEFAULT '';
ALTER TABLE organisation_profile ADD COLUMN isolation TEXT NOT NULL DEFAULT '';

CREATE TABLE endpoint_isolation_event (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    endpoint_id     TEXT NOT NULL,
    kind            TEXT NOT NULL,
    at              TEXT NOT NULL,
    received_at     TEXT NOT NULL,
    command_id      TEXT NOT NULL,
    told_by         TEXT NOT NULL,
    detail          TEXT NOT NULL,
    differences     TEXT NOT NULL,
    seen            TEXT NOT NULL,
    times           BIGINT NOT NULL
);
CREATE INDEX endpoint_isolation_event_endpoint ON endpoint_isolation_event (endpoint_id, received_at);

-- A release that needs two persons, from the first to the second.
CREATE TABLE dispatch_release (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    endpoint_id     TEXT NOT NULL,
    incident_id     TEXT NOT NULL,
    reason          TEXT NOT NULL,
    asked_by        TEXT NOT NULL,
    asked_name      TEXT NOT NULL,
    asked_at        TEXT NOT NULL,
    decided_by      TEXT NOT NULL,
    decided_name    TEXT NOT NULL,
    decided_at      TEXT NOT NULL,
    decision        TEXT NOT NULL,
    command_id      TEXT NOT NULL
);
CREATE INDEX dispatch_release_endpoint ON dispatch_release (endpoint_id, asked_at);
