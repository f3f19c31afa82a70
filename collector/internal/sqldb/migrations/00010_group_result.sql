-- What became of a member of a group, as it was measured when its order was carried out,
-- and how the isolation ended by itself.
-- +goose Up
ALTER TABLE group_member ADD COLUMN result TEXT NOT NULL DEFAULT '';
ALTER TABLE group_member ADD COLUMN ended TEXT NOT NULL DEFAULT '';
ALTER TABLE group_member ADD COLUMN ended_at TEXT NOT NULL DEFAULT '';
