-- What of people's own an organisation lets be read on its endpoints (JSON; empty: the defaults).
-- +goose Up
ALTER TABLE organisation_profile ADD COLUMN triage TEXT NOT NULL DEFAULT '';
