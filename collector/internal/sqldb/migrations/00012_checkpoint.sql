-- Signed checkpoints of the custody ledger. Rows are only ever added. A line is a stretch of
-- history that one origin and one key sign; a second one begins only by a person's
-- decision, when the ledger does not go on from what was signed before.

-- +goose Up
CREATE TABLE checkpoint_lines (
    organisation_id TEXT   NOT NULL,
    line            BIGINT NOT NULL,
    origin          TEXT   NOT NULL,
    verifier_key    TEXT   NOT NULL,
    started_at      TEXT   NOT NULL,
    size            BIGINT NOT NULL,
    kind            TEXT   NOT NULL,
    known_note      TEXT   NOT NULL,
    reason          TEXT   NOT NULL,
    ledger_idx      BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, line)
);

CREATE TABLE checkpoint_notes (
    organisation_id TEXT   NOT NULL,
    line            BIGINT NOT NULL,
    size            BIGINT NOT NULL,
    note            TEXT   NOT NULL,
    signed_at       TEXT   NOT NULL,
    PRIMARY KEY (organisation_id, line, size)
);

CREATE TABLE checkpoint_conflicts (
    organisation_id TEXT   NOT NULL,
    id              TEXT   NOT NULL,
    endpoint_id     TEXT   NOT NULL,
    kind            TEXT   NOT NULL,
    known_note      TEXT   NOT NULL,
    shown_note      TEXT   NOT NULL,
    noticed_at      TEXT   NOT NULL,
    received_at     TEXT   NOT NULL,
    detail          TEXT   NOT NULL,
    line            BIGINT NOT NULL,
    ledger_idx      BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id)
);
