-- The second factor of people, where they are told what happened, which incidents somebody
-- from outside may see and until when, sessions that were ended, and orders to groups that
-- wait for a second person.
-- +goose Up
ALTER TABLE operator_operator ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE operator_operator ADD COLUMN factor_secret TEXT NOT NULL DEFAULT '';
ALTER TABLE operator_operator ADD COLUMN factor_since TEXT NOT NULL DEFAULT '';
ALTER TABLE operator_operator ADD COLUMN factor_step BIGINT NOT NULL DEFAULT 0;
ALTER TABLE operator_session ADD COLUMN ended_at TEXT NOT NULL DEFAULT '';
ALTER TABLE organisation_profile ADD COLUMN people TEXT NOT NULL DEFAULT '';

CREATE TABLE operator_recovery (
    operator_id     TEXT   NOT NULL,
    code_no         BIGINT NOT NULL,
    organisation_id TEXT   NOT NULL,
    hash            TEXT   NOT NULL,
    used_at         TEXT   NOT NULL,
    PRIMARY KEY (operator_id, code_no)
);

CREATE TABLE operator_grant (
    operator_id     TEXT NOT NULL,
    incident_id     TEXT NOT NULL,
    organisation_id TEXT NOT NULL,
    until           TEXT NOT NULL,
    granted_by      TEXT NOT NULL,
    granted_at      TEXT NOT NULL,
    PRIMARY KEY (operator_id, incident_id)
);

CREATE TABLE group_asked (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    verb            TEXT NOT NULL,
    said            TEXT NOT NULL,
    reason          TEXT NOT NULL,
    asked_by        TEXT NOT NULL,
    asked_name      TEXT NOT NULL,
    asked_at        TEXT NOT NULL,
    decided_by      TEXT NOT NULL,
    decided_name    TEXT NOT NULL,
    decided_at      TEXT NOT NULL,
    decision        TEXT NOT NULL,
    group_id        TEXT NOT NULL
);
CREATE INDEX group_asked_organisation ON group_asked (organisation_id, asked_at);
