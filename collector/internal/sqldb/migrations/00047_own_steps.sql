-- The steps that an organisation adds to playbooks at the console, as it uses them now. Each
-- version stands in the ledger.
-- +goose Up
CREATE TABLE playbook_own (
    organisation_id TEXT PRIMARY KEY,
    steps           TEXT NOT NULL
);
