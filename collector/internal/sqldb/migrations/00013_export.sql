-- Evidence packages that were made: what each holds is fixed by the size of the ledger and
-- by what is frozen here, so that the same package can be made again.
-- +goose Up
CREATE TABLE export_package (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    incident_id     TEXT NOT NULL,
    package_no      BIGINT NOT NULL,
    number          TEXT NOT NULL,
    at              TEXT NOT NULL,
    actor_kind      TEXT NOT NULL,
    actor_id        TEXT NOT NULL,
    actor_name      TEXT NOT NULL,
    recipient       TEXT NOT NULL,
    purpose         TEXT NOT NULL,
    hosts           TEXT NOT NULL,
    profiles        TEXT NOT NULL,
    ledger_size     BIGINT NOT NULL,
    ledger_root     TEXT NOT NULL,
    frozen          TEXT NOT NULL,
    checkpoint      TEXT NOT NULL,
    finished_at     TEXT NOT NULL,
    sha256          TEXT NOT NULL,
    size            BIGINT NOT NULL
);
CREATE UNIQUE INDEX export_package_number ON export_package (organisation_id, incident_id, package_no);
