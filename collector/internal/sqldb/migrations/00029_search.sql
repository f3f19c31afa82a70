-- The search reads timelines from their newest entry on and stops when it has enough.
-- +goose Up
CREATE INDEX incident_entry_newest ON incident_entry (organisation_id, ledger_idx);
