-- Links by which people without an account report and send photographs, and what came by them.
-- +goose Up
CREATE TABLE phone_link (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    kind            TEXT NOT NULL,
    incident_id     TEXT NOT NULL,
    note            TEXT NOT NULL,
    token_sha256    TEXT NOT NULL UNIQUE,
    token_sealed    TEXT NOT NULL,
    made_id         TEXT NOT NULL,
    made_by         TEXT NOT NULL,
    made_at         TEXT NOT NULL,
    expires_at      TEXT NOT NULL,
    revoked_at      TEXT NOT NULL,
    revoked_by      TEXT NOT NULL
);
CREATE INDEX phone_link_organisation ON phone_link (organisation_id, incident_id, made_at);
CREATE TABLE phone_use (
    link_id         TEXT NOT NULL,
    seq             BIGINT NOT NULL,
    organisation_id TEXT NOT NULL,
    incident_id     TEXT NOT NULL,
    opened          BIGINT NOT NULL,
    address         TEXT NOT NULL,
    size            BIGINT NOT NULL,
    at              TEXT NOT NULL,
    ledger_idx      BIGINT NOT NULL,
    PRIMARY KEY (link_id, seq)
);
CREATE INDEX phone_use_at ON phone_use (link_id, at);
