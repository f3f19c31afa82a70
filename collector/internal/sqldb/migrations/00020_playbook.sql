-- What was done of the playbooks, and the deadlines of incidents: all of it only ever added to.
-- +goose Up
CREATE TABLE playbook_mark (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    incident_id     TEXT NOT NULL,
    seq             BIGINT NOT NULL,
    item            TEXT NOT NULL,
    state           TEXT NOT NULL,
    note            TEXT NOT NULL,
    gates           TEXT NOT NULL,
    gate_reason     TEXT NOT NULL,
    at              TEXT NOT NULL,
    actor_kind      TEXT NOT NULL,
    actor_id        TEXT NOT NULL,
    actor_name      TEXT NOT NULL,
    ledger_idx      BIGINT NOT NULL,
    UNIQUE (incident_id, seq)
);

CREATE TABLE deadline_answer (
    incident_id     TEXT NOT NULL,
    seq             BIGINT NOT NULL,
    organisation_id TEXT NOT NULL,
    answers         TEXT NOT NULL,
    outcome         TEXT NOT NULL,
    rule            TEXT NOT NULL,
    note            TEXT NOT NULL,
    at              TEXT NOT NULL,
    actor_name      TEXT NOT NULL,
    ledger_idx      BIGINT NOT NULL,
    PRIMARY KEY (incident_id, seq)
);

CREATE TABLE deadline_version (
    incident_id     TEXT NOT NULL,
    clock           TEXT NOT NULL,
    version         BIGINT NOT NULL,
    organisation_id TEXT NOT NULL,
    start_at        TEXT NOT NULL,
    window_from     TEXT NOT NULL,
    due_at          TEXT NOT NULL,
    counted         TEXT NOT NULL,
    reason          TEXT NOT NULL,
    at              TEXT NOT NULL,
    ledger_idx      BIGINT NOT NULL,
    PRIMARY KEY (incident_id, clock, version)
);
CREATE INDEX deadline_version_due ON deadline_version (organisation_id, due_at);

CREATE TABLE deadline_done (
    incident_id     TEXT NOT NULL,
    seq             BIGINT NOT NULL,
    organisation_id TEXT NOT NULL,
    clock           TEXT NOT NULL,
    done_at         TEXT NOT NULL,
    receipt_no      TEXT NOT NULL,
    note            TEXT NOT NULL,
    at              TEXT NOT NULL,
    actor_name      TEXT NOT NULL,
    ledger_idx      BIGINT NOT NULL,
    PRIMARY KEY (incident_id, seq)
);

CREATE TABLE deadline_reminder (
    incident_id     TEXT NOT NULL,
    clock           TEXT NOT NULL,
    version         BIGINT NOT NULL,
    kind            TEXT NOT NULL,
    organisation_id TEXT NOT NULL,
    at              TEXT NOT NULL,
    told            BIGINT NOT NULL,
    PRIMARY KEY (incident_id, clock, version, kind)
);
