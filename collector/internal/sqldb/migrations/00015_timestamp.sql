-- Time stamps of an outside authority on signed checkpoints, and what witnesses signed of
-- these. Rows are only ever added.

-- +goose Up
CREATE TABLE timestamp_tokens (
    organisation_id TEXT   NOT NULL,
    size            BIGINT NOT NULL,
    note            TEXT   NOT NULL,
    note_sha256     TEXT   NOT NULL,
    response        TEXT   NOT NULL,
    sha256          TEXT   NOT NULL,
    chain           TEXT   NOT NULL,
    authority       TEXT   NOT NULL,
    policy          TEXT   NOT NULL,
    serial          TEXT   NOT NULL,
    stamped_at      TEXT   NOT NULL,
    accuracy_ns     BIGINT NOT NULL,
    received_at     TEXT   NOT NULL,
    reason          TEXT   NOT NULL,
    ledger_idx      BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, ledger_idx)
);
CREATE INDEX timestamp_tokens_by_note ON timestamp_tokens (organisation_id, note_sha256);

CREATE TABLE cosign_signatures (
    organisation_id TEXT   NOT NULL,
    origin          TEXT   NOT NULL,
    size            BIGINT NOT NULL,
    note            TEXT   NOT NULL,
    witness         TEXT   NOT NULL,
    witness_key     TEXT   NOT NULL,
    signature       TEXT   NOT NULL,
    cosigned_at     TEXT   NOT NULL,
    received_at     TEXT   NOT NULL,
    PRIMARY KEY (organisation_id, witness_key, origin, size)
);
CREATE INDEX cosign_signatures_by_size ON cosign_signatures (organisation_id, origin, size);
