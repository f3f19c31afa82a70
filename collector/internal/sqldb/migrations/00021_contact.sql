-- Whom an organisation calls besides the desks that come with the product. A change is a version.
-- +goose Up
CREATE TABLE contact_version (
    contact_id      TEXT NOT NULL,
    version         BIGINT NOT NULL,
    organisation_id TEXT NOT NULL,
    kind            TEXT NOT NULL,
    name            TEXT NOT NULL,
    person          TEXT NOT NULL,
    tel             TEXT NOT NULL,
    mail            TEXT NOT NULL,
    url             TEXT NOT NULL,
    hours           TEXT NOT NULL,
    reference       TEXT NOT NULL,
    within_hours    BIGINT NOT NULL,
    note            TEXT NOT NULL,
    removed         BIGINT NOT NULL,
    at              TEXT NOT NULL,
    actor_name      TEXT NOT NULL,
    ledger_idx      BIGINT NOT NULL,
    PRIMARY KEY (contact_id, version)
);
CREATE INDEX contact_version_organisation ON contact_version (organisation_id, contact_id, version);
