-- Files that people send as evidence. What is said of them stands in the ledger; the bytes are
-- in the blob store under their SHA-256.
-- +goose Up
CREATE TABLE record_upload (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    incident_id     TEXT NOT NULL,
    file            TEXT NOT NULL,
    announced       BIGINT NOT NULL,
    begun_id        TEXT NOT NULL,
    begun_by        TEXT NOT NULL,
    begun_at        TEXT NOT NULL,
    exhibit_id      TEXT NOT NULL,
    exhibit         TEXT NOT NULL,
    size            BIGINT NOT NULL,
    sha256          TEXT NOT NULL,
    received_at     TEXT NOT NULL,
    ledger_idx      BIGINT NOT NULL,
    disposed_at     TEXT NOT NULL,
    removed_at      TEXT NOT NULL
);
CREATE INDEX record_upload_incident ON record_upload (incident_id);
CREATE INDEX record_upload_sha256 ON record_upload (sha256);
