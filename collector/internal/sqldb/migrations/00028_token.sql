-- Tokens with which programs act at the HTTP interface on behalf of the person who made them.
-- +goose Up
CREATE TABLE operator_token (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    operator_id     TEXT NOT NULL,
    name            TEXT NOT NULL,
    role            TEXT NOT NULL,
    scopes          TEXT NOT NULL,
    secret_sha256   TEXT NOT NULL UNIQUE,
    created_at      TEXT NOT NULL,
    expires_at      TEXT NOT NULL,
    used_at         TEXT NOT NULL,
    used_from       TEXT NOT NULL,
    ended_at        TEXT NOT NULL
);
CREATE INDEX operator_token_operator ON operator_token (operator_id);
CREATE INDEX operator_token_organisation ON operator_token (organisation_id, created_at);
