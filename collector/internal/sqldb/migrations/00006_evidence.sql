-- Accepted acquisitions and their numbered items. Rows are only ever added. The
-- bytes, the manifest's too, are in the blob store under their SHA-256.

-- +goose Up
CREATE TABLE evidence_acquisitions (
    id                  TEXT   NOT NULL PRIMARY KEY,
    organisation_id     TEXT   NOT NULL,
    endpoint_id         TEXT   NOT NULL,
    incident_id         TEXT   NOT NULL,
    command_id          TEXT   NOT NULL,
    alert_id            TEXT   NOT NULL,
    trigger_kind        TEXT   NOT NULL,
    profile             TEXT   NOT NULL,
    outcome             TEXT   NOT NULL,
    started_at          TEXT   NOT NULL,
    finished_at         TEXT   NOT NULL,
    received_at         TEXT   NOT NULL,
    manifest_sha256     TEXT   NOT NULL,
    manifest_size       BIGINT NOT NULL,
    manifest_signature  TEXT   NOT NULL,
    signer_certificate  TEXT   NOT NULL,
    items               BIGINT NOT NULL,
    records             BIGINT NOT NULL,
    stored_bytes        BIGINT NOT NULL,
    ledger_idx          BIGINT NOT NULL,
    receipt_payload     TEXT   NOT NULL,
    receipt_signature   TEXT   NOT NULL,
    receipt_certificate TEXT   NOT NULL
);
CREATE INDEX evidence_acquisitions_by_incident ON evidence_acquisitions (organisation_id, incident_id, received_at);
CREATE INDEX evidence_acquisitions_by_endpoint ON evidence_acquisitions (organisation_id, endpoint_id, received_at);

CREATE TABLE evidence_items (
    id              TEXT   NOT NULL PRIMARY KEY,
    organisation_id TEXT   NOT NULL,
    acquisition_id  TEXT   NOT NULL,
    endpoint_id     TEXT   NOT NULL,
    incident_id     TEXT   NOT NULL,
    item_no         BIGINT NOT NULL,
    number          TEXT   NOT NULL,
    position        BIGINT NOT NULL,
    name            TEXT   NOT NULL,
    kind            TEXT   NOT NULL,
    schema_name     TEXT   NOT NULL,
    outcome         TEXT   NOT NULL,
    records         BIGINT NOT NULL,
    plain_sha256    TEXT   NOT NULL,
    plain_size      BIGINT NOT NULL,
    stored_sha256   TEXT   NOT NULL,
    stored_size     BIGINT NOT NULL,
    received_at     TEXT   NOT NULL,
    ledger_idx      BIGINT NOT NULL
);
CREATE UNIQUE INDEX evidence_items_by_acquisition ON evidence_items (acquisition_id, position);
CREATE UNIQUE INDEX evidence_items_by_incident ON evidence_items (organisation_id, incident_id, item_no) WHERE incident_id <> '';
CREATE INDEX evidence_items_by_number ON evidence_items (organisation_id, number);
