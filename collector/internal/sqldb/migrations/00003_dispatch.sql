-- Orders to endpoints: stored before they are sent.
-- +goose Up
CREATE TABLE dispatch_counter (
    endpoint_id     TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    counter         BIGINT NOT NULL
);

CREATE TABLE dispatch_command (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    endpoint_id     TEXT NOT NULL,
    counter         BIGINT NOT NULL,
    verb            TEXT NOT NULL,
    profile         TEXT NOT NULL,
    isolate_first   BIGINT NOT NULL,
    incident_id     TEXT NOT NULL,
    issuer          TEXT NOT NULL,
    issued_by       TEXT NOT NULL,
    reason          TEXT NOT NULL,
    issued_at       TEXT NOT NULL,
    expires_at      TEXT NOT NULL,
    status          TEXT NOT NULL,
    accepted_at     TEXT NOT NULL,
    finished_at     TEXT NOT NULL,
    received_at     TEXT NOT NULL,
    detail          TEXT NOT NULL,
    acquisition_id  TEXT NOT NULL,
    UNIQUE (endpoint_id, counter)
);
CREATE INDEX dispatch_command_status ON dispatch_command (endpoint_id, status);
CREATE INDEX dispatch_command_incident ON dispatch_command (incident_id);
