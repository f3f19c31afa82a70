-- Where endpoints stand and what people call them together, and orders to many of them
-- at once.
-- +goose Up
ALTER TABLE endpoint_endpoint ADD COLUMN site TEXT NOT NULL DEFAULT '';
ALTER TABLE endpoint_endpoint ADD COLUMN purpose TEXT NOT NULL DEFAULT '';

CREATE TABLE endpoint_tag (
    endpoint_id     TEXT NOT NULL,
    organisation_id TEXT NOT NULL,
    tag             TEXT NOT NULL,
    PRIMARY KEY (endpoint_id, tag)
);

CREATE TABLE group_order (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    verb            TEXT NOT NULL,
    phase           TEXT NOT NULL,
    reason          TEXT NOT NULL,
    incident_id     TEXT NOT NULL,
    selected_by     TEXT NOT NULL,
    isolation       TEXT NOT NULL,
    isolate_first   BIGINT NOT NULL,
    break_glass     TEXT NOT NULL,
    issuer          TEXT NOT NULL,
    issued_by       TEXT NOT NULL,
    issued_at       TEXT NOT NULL,
    cut_at          TEXT NOT NULL
);
CREATE INDEX group_order_organisation ON group_order (organisation_id, issued_at);
CREATE INDEX group_order_phase ON group_order (phase);

CREATE TABLE group_member (
    group_id        TEXT NOT NULL,
    endpoint_id     TEXT NOT NULL,
    organisation_id TEXT NOT NULL,
    standing        BIGINT NOT NULL,
    left_out        TEXT NOT NULL,
    capture_id      TEXT NOT NULL,
    command_id      TEXT NOT NULL,
    PRIMARY KEY (group_id, endpoint_id)
);
CREATE INDEX group_member_command ON group_member (command_id);
