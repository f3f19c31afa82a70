-- When an organisation is told once a week how things are, and for which week it was told.
-- +goose Up
CREATE TABLE notify_weekly (
    organisation_id TEXT PRIMARY KEY,
    enabled         BIGINT NOT NULL,
    weekday         BIGINT NOT NULL,
    hour            BIGINT NOT NULL,
    told_for        TEXT NOT NULL
);
