-- Whose data it is, and the people of the console. Times are RFC 3339 in UTC with
-- nine digits of a second, so that they sort as text; an empty one means never.
-- +goose Up
CREATE TABLE organisation_profile (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    created_at TEXT NOT NULL
);

CREATE TABLE operator_operator (
    id                   TEXT PRIMARY KEY,
    organisation_id      TEXT NOT NULL,
    name                 TEXT NOT NULL UNIQUE,
    display_name         TEXT NOT NULL,
    role                 TEXT NOT NULL,
    password_hash        TEXT NOT NULL,
    must_change_password BIGINT NOT NULL,
    disabled_at          TEXT NOT NULL,
    created_at           TEXT NOT NULL,
    last_sign_in_at      TEXT NOT NULL
);

-- A session before sign-in belongs to nobody yet: organisation_id and operator_id are empty.
CREATE TABLE operator_session (
    token_sha256    TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    operator_id     TEXT NOT NULL,
    kind            TEXT NOT NULL,
    data            TEXT NOT NULL,
    expires_at      TEXT NOT NULL
);
CREATE INDEX operator_session_operator ON operator_session (operator_id);
CREATE INDEX operator_session_expiry ON operator_session (expires_at);
