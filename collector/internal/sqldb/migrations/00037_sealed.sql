-- From this version on the ledger's entries say which lines of timelines name them. For
-- organisations with older lines one entry for each incident is made at the next start.
-- +goose Up
CREATE TABLE incident_unsealed (
    organisation_id TEXT PRIMARY KEY
);
INSERT INTO incident_unsealed (organisation_id) SELECT DISTINCT organisation_id FROM incident_entry;
