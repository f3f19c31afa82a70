-- Exhibits: what people hold and pass on. Rows are only ever added, but for the end of a
-- disposal. What is said of an exhibit and what is done with it each has its ledger entry.
-- +goose Up
CREATE TABLE exhibit_item (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    incident_id     TEXT NOT NULL,
    item_no         BIGINT NOT NULL,
    number          TEXT NOT NULL,
    parent          TEXT NOT NULL,
    kind            TEXT NOT NULL,
    acquisition_id  TEXT NOT NULL,
    endpoint_id     TEXT NOT NULL,
    created_at      TEXT NOT NULL,
    created_by      TEXT NOT NULL,
    ledger_idx      BIGINT NOT NULL
);
CREATE UNIQUE INDEX exhibit_item_number ON exhibit_item (organisation_id, incident_id, item_no);
CREATE UNIQUE INDEX exhibit_item_acquisition ON exhibit_item (acquisition_id) WHERE acquisition_id <> '';

CREATE TABLE exhibit_change (
    item_id         TEXT NOT NULL,
    change_no       BIGINT NOT NULL,
    organisation_id TEXT NOT NULL,
    incident_id     TEXT NOT NULL,
    field           TEXT NOT NULL,
    value           TEXT NOT NULL,
    at              TEXT NOT NULL,
    changed_by      TEXT NOT NULL,
    ledger_idx      BIGINT NOT NULL,
    PRIMARY KEY (item_id, change_no)
);
CREATE INDEX exhibit_change_incident ON exhibit_change (incident_id);

CREATE TABLE exhibit_event (
    incident_id     TEXT NOT NULL,
    seq             BIGINT NOT NULL,
    organisation_id TEXT NOT NULL,
    item_id         TEXT NOT NULL,
    type            TEXT NOT NULL,
    at              TEXT NOT NULL,
    clock           TEXT NOT NULL,
    from_person     TEXT NOT NULL,
    from_org        TEXT NOT NULL,
    to_person       TEXT NOT NULL,
    to_org          TEXT NOT NULL,
    place           TEXT NOT NULL,
    medium_type     TEXT NOT NULL,
    medium_serial   TEXT NOT NULL,
    seal_no         TEXT NOT NULL,
    carrier         TEXT NOT NULL,
    tracking_no     TEXT NOT NULL,
    purpose         TEXT NOT NULL,
    hash_before     TEXT NOT NULL,
    hash_after      TEXT NOT NULL,
    result          TEXT NOT NULL,
    note            TEXT NOT NULL,
    recorded_at     TEXT NOT NULL,
    actor_kind      TEXT NOT NULL,
    actor_id        TEXT NOT NULL,
    actor_name      TEXT NOT NULL,
    ledger_idx      BIGINT NOT NULL,
    PRIMARY KEY (incident_id, seq)
);
CREATE INDEX exhibit_event_item ON exhibit_event (item_id);

-- How long an organisation keeps evidence after an incident was closed; the newest counts.
CREATE TABLE exhibit_retention (
    organisation_id TEXT NOT NULL,
    ledger_idx      BIGINT NOT NULL,
    days            BIGINT NOT NULL,
    at              TEXT NOT NULL,
    changed_by      TEXT NOT NULL,
    PRIMARY KEY (organisation_id, ledger_idx)
);

-- Acquisitions whose bytes were disposed of. Manifest, signature, receipt and digests stay.
CREATE TABLE evidence_disposal (
    acquisition_id  TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    at              TEXT NOT NULL,
    ledger_idx      BIGINT NOT NULL,
    finished_at     TEXT NOT NULL,
    finished_idx    BIGINT NOT NULL
);
