-- Which recovery key the release codes of an organisation are made with, by its
-- fingerprint: a key that is lost must not be replaced in silence. Empty: none was used.
-- +goose Up
ALTER TABLE organisation_profile ADD COLUMN recovery_key TEXT NOT NULL DEFAULT '';
