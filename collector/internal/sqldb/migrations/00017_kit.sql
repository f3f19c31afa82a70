-- USB kits that were made, and the acquisitions that came back on their sticks.
-- +goose Up
ALTER TABLE endpoint_endpoint ADD COLUMN origin TEXT NOT NULL DEFAULT '';

CREATE TABLE kit_kit (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    incident_id     TEXT NOT NULL,
    profile         TEXT NOT NULL,
    document_sha256 TEXT NOT NULL,
    made_at         TEXT NOT NULL,
    made_by         TEXT NOT NULL
);

CREATE TABLE kit_import (
    acquisition_id  TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    kit_id          TEXT NOT NULL,
    endpoint_id     TEXT NOT NULL,
    incident_id     TEXT NOT NULL,
    key_sha256      TEXT NOT NULL,
    public_key      TEXT NOT NULL,
    receipt_code    TEXT NOT NULL,
    code_compared   BIGINT NOT NULL,
    foreign_kit     BIGINT NOT NULL,
    place           TEXT NOT NULL,
    reason          TEXT NOT NULL,
    acquired_by     TEXT NOT NULL,
    witness         TEXT NOT NULL,
    imported_at     TEXT NOT NULL,
    imported_by     TEXT NOT NULL
);
CREATE INDEX kit_import_key ON kit_import (key_sha256);
