-- When a person's role was changed last, and which ones it was for the time before: somebody who
-- could agree a short while ago counts as being there.
-- +goose Up
ALTER TABLE operator_operator ADD COLUMN role_at TEXT NOT NULL DEFAULT '';
ALTER TABLE operator_operator ADD COLUMN roles_before TEXT NOT NULL DEFAULT '';
