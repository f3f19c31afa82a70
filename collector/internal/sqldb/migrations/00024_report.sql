-- Documents that were issued of an incident: each version is frozen in the store of blobs, and
-- to whom it was sent is recorded.
-- +goose Up
CREATE TABLE report_report (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    incident_id     TEXT NOT NULL,
    report_no       BIGINT NOT NULL,
    number          TEXT NOT NULL,
    kind            TEXT NOT NULL,
    language        TEXT NOT NULL
);
CREATE UNIQUE INDEX report_report_number ON report_report (organisation_id, incident_id, report_no);
CREATE UNIQUE INDEX report_report_kind ON report_report (organisation_id, incident_id, kind, language);

CREATE TABLE report_version (
    report_id       TEXT NOT NULL,
    version         BIGINT NOT NULL,
    organisation_id TEXT NOT NULL,
    at              TEXT NOT NULL,
    actor_kind      TEXT NOT NULL,
    actor_id        TEXT NOT NULL,
    actor_name      TEXT NOT NULL,
    stage           TEXT NOT NULL,
    title           TEXT NOT NULL,
    not_known       BIGINT NOT NULL,
    ledger_size     BIGINT NOT NULL,
    bundle_sha256   TEXT NOT NULL,
    bundle_size     BIGINT NOT NULL,
    files           TEXT NOT NULL,
    ledger_idx      BIGINT NOT NULL,
    PRIMARY KEY (report_id, version)
);

CREATE TABLE report_sending (
    report_id       TEXT NOT NULL,
    seq             BIGINT NOT NULL,
    version         BIGINT NOT NULL,
    organisation_id TEXT NOT NULL,
    recipient       TEXT NOT NULL,
    channel         TEXT NOT NULL,
    sent_at         TEXT NOT NULL,
    note            TEXT NOT NULL,
    recorded_at     TEXT NOT NULL,
    actor_kind      TEXT NOT NULL,
    actor_id        TEXT NOT NULL,
    actor_name      TEXT NOT NULL,
    ledger_idx      BIGINT NOT NULL,
    PRIMARY KEY (report_id, seq)
);
