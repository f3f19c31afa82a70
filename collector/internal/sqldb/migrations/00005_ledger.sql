-- The custody ledger: one RFC 6962 tree per organisation. Rows are only ever added;
-- ledger_heads alone changes, in the transaction that adds.

-- +goose Up
CREATE TABLE ledger_entries (
    organisation_id TEXT   NOT NULL,
    idx             BIGINT NOT NULL,
    at              TEXT   NOT NULL,
    actor_kind      TEXT   NOT NULL,
    actor_id        TEXT   NOT NULL,
    act             TEXT   NOT NULL,
    subject         TEXT   NOT NULL,
    entry_json      TEXT   NOT NULL,
    salt            TEXT   NOT NULL,
    record_sha256   TEXT   NOT NULL,
    PRIMARY KEY (organisation_id, idx)
);
CREATE INDEX ledger_entries_by_subject ON ledger_entries (organisation_id, subject, idx);

CREATE TABLE ledger_hashes (
    organisation_id TEXT   NOT NULL,
    idx             BIGINT NOT NULL,
    hash            TEXT   NOT NULL,
    PRIMARY KEY (organisation_id, idx)
);

CREATE TABLE ledger_heads (
    organisation_id TEXT   NOT NULL PRIMARY KEY,
    size            BIGINT NOT NULL,
    root_sha256     TEXT   NOT NULL,
    at              TEXT   NOT NULL
);
