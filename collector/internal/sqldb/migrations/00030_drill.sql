-- Incidents that are drills (訓練), with numbers of their own; what was only simulated in them,
-- and what came of them. found_in is the drill in which a sign was found that was real.
-- +goose Up
ALTER TABLE incident_incident ADD COLUMN drill BIGINT NOT NULL DEFAULT 0;
ALTER TABLE incident_incident ADD COLUMN found_in TEXT NOT NULL DEFAULT '';

CREATE TABLE incident_drill_counter (
    organisation_id TEXT NOT NULL,
    year            BIGINT NOT NULL,
    counter         BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, year)
);

CREATE TABLE drill_step (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    incident_id     TEXT NOT NULL,
    endpoint_id     TEXT NOT NULL,
    what            TEXT NOT NULL,
    at              TEXT NOT NULL,
    actor_kind      TEXT NOT NULL,
    actor_id        TEXT NOT NULL,
    actor_name      TEXT NOT NULL,
    note            TEXT NOT NULL,
    ledger_idx      BIGINT NOT NULL
);
CREATE INDEX drill_step_incident ON drill_step (incident_id, ledger_idx);

CREATE TABLE drill_result (
    incident_id     TEXT NOT NULL,
    version         BIGINT NOT NULL,
    organisation_id TEXT NOT NULL,
    at              TEXT NOT NULL,
    actor_name      TEXT NOT NULL,
    result          TEXT NOT NULL,
    ledger_idx      BIGINT NOT NULL,
    PRIMARY KEY (incident_id, version)
);
