-- How people are told of what happened: channels, and what goes out by them. Secrets of a
-- channel are sealed with a key that is not in the database.
-- +goose Up
CREATE TABLE notify_channel (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    kind            TEXT NOT NULL,
    name            TEXT NOT NULL,
    language        TEXT NOT NULL,
    settings        TEXT NOT NULL,
    secret          TEXT NOT NULL,
    kinds           TEXT NOT NULL,
    enabled         BIGINT NOT NULL,
    created_at      TEXT NOT NULL,
    changed_at      TEXT NOT NULL,
    removed_at      TEXT NOT NULL
);
CREATE INDEX notify_channel_organisation ON notify_channel (organisation_id);

CREATE TABLE notify_delivery (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    channel_id      TEXT NOT NULL,
    recipient       TEXT NOT NULL,
    event_key       TEXT NOT NULL,
    kind            TEXT NOT NULL,
    event           TEXT NOT NULL,
    state           TEXT NOT NULL,
    tries           BIGINT NOT NULL,
    created_at      TEXT NOT NULL,
    next_at         TEXT NOT NULL,
    ended_at        TEXT NOT NULL,
    detail          TEXT NOT NULL
);
CREATE UNIQUE INDEX notify_delivery_once ON notify_delivery (channel_id, event_key, recipient);
CREATE INDEX notify_delivery_due ON notify_delivery (state, next_at);
CREATE INDEX notify_delivery_organisation ON notify_delivery (organisation_id, created_at);
