-- The case. Entries of the timeline are only ever added.
-- +goose Up
CREATE TABLE incident_incident (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    number          TEXT NOT NULL,
    title           TEXT NOT NULL,
    classification  TEXT NOT NULL,
    reporter        TEXT NOT NULL,
    discovered_at   TEXT NOT NULL,
    opened_at       TEXT NOT NULL,
    closed_at       TEXT NOT NULL,
    UNIQUE (organisation_id, number)
);

CREATE TABLE incident_counter (
    organisation_id TEXT NOT NULL,
    year            BIGINT NOT NULL,
    counter         BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, year)
);

CREATE TABLE incident_endpoint (
    incident_id     TEXT NOT NULL,
    endpoint_id     TEXT NOT NULL,
    organisation_id TEXT NOT NULL,
    added_at        TEXT NOT NULL,
    PRIMARY KEY (incident_id, endpoint_id)
);
CREATE INDEX incident_endpoint_endpoint ON incident_endpoint (endpoint_id);

CREATE TABLE incident_entry (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    incident_id     TEXT NOT NULL,
    at              TEXT NOT NULL,
    agent_at        TEXT NOT NULL,
    kind            TEXT NOT NULL,
    actor           TEXT NOT NULL,
    text            TEXT NOT NULL,
    params          TEXT NOT NULL,
    ledger_idx      BIGINT NOT NULL
);
CREATE INDEX incident_entry_incident ON incident_entry (incident_id, ledger_idx);

CREATE TABLE incident_alert (
    alert_id        TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    endpoint_id     TEXT NOT NULL,
    incident_id     TEXT NOT NULL,
    message         TEXT NOT NULL,
    reporter        TEXT NOT NULL,
    reported_at     TEXT NOT NULL,
    received_at     TEXT NOT NULL
);
