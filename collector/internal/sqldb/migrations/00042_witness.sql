-- Who was present when something was done with an exhibit.
-- +goose Up
ALTER TABLE exhibit_event ADD COLUMN witness TEXT NOT NULL DEFAULT '';
