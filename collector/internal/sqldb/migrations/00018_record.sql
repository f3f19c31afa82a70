-- What people write down about an incident. Rows are only ever added.
-- +goose Up
CREATE TABLE record_version (
    incident_id     TEXT NOT NULL,
    item            TEXT NOT NULL,
    version_no      BIGINT NOT NULL,
    organisation_id TEXT NOT NULL,
    state           TEXT NOT NULL,
    value           TEXT NOT NULL,
    basis           TEXT NOT NULL,
    reason          TEXT NOT NULL,
    entered_id      TEXT NOT NULL,
    entered_by      TEXT NOT NULL,
    entered_at      TEXT NOT NULL,
    ledger_idx      BIGINT NOT NULL,
    PRIMARY KEY (incident_id, item, version_no)
);

CREATE TABLE record_decision (
    incident_id     TEXT NOT NULL,
    decision_no     BIGINT NOT NULL,
    organisation_id TEXT NOT NULL,
    kind            TEXT NOT NULL,
    options         TEXT NOT NULL,
    facts           TEXT NOT NULL,
    decision        TEXT NOT NULL,
    reason          TEXT NOT NULL,
    decider         TEXT NOT NULL,
    decided_at      TEXT NOT NULL,
    entered_id      TEXT NOT NULL,
    entered_by      TEXT NOT NULL,
    entered_at      TEXT NOT NULL,
    ledger_idx      BIGINT NOT NULL,
    PRIMARY KEY (incident_id, decision_no)
);

CREATE TABLE record_enquiry (
    incident_id     TEXT NOT NULL,
    enquiry_no      BIGINT NOT NULL,
    organisation_id TEXT NOT NULL,
    follows         BIGINT NOT NULL,
    asked_at        TEXT NOT NULL,
    who             TEXT NOT NULL,
    contact         TEXT NOT NULL,
    channel         TEXT NOT NULL,
    question        TEXT NOT NULL,
    answer          TEXT NOT NULL,
    entered_id      TEXT NOT NULL,
    entered_by      TEXT NOT NULL,
    entered_at      TEXT NOT NULL,
    ledger_idx      BIGINT NOT NULL,
    PRIMARY KEY (incident_id, enquiry_no)
);

-- How an incident ended, into which other one it went, and out of which it came.
ALTER TABLE incident_incident ADD COLUMN close_code TEXT NOT NULL DEFAULT '';
ALTER TABLE incident_incident ADD COLUMN merged_into TEXT NOT NULL DEFAULT '';
ALTER TABLE incident_incident ADD COLUMN split_from TEXT NOT NULL DEFAULT '';
