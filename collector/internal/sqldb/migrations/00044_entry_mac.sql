-- What shows that the collector wrote an entry: a MAC with a key that is not in the database.
-- Entries of before have none.
-- +goose Up
ALTER TABLE ledger_entries ADD COLUMN mac TEXT NOT NULL DEFAULT '';
