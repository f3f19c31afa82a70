-- The inventory, and how strangers become part of it.
-- +goose Up
CREATE TABLE endpoint_endpoint (
    id                      TEXT PRIMARY KEY,
    organisation_id         TEXT NOT NULL,
    label                   TEXT NOT NULL,
    hostname                TEXT NOT NULL,
    os                      TEXT NOT NULL,
    arch                    TEXT NOT NULL,
    platform                TEXT NOT NULL,
    agent_version           TEXT NOT NULL,
    capability              BIGINT NOT NULL,
    boot_id                 TEXT NOT NULL,
    remote_addr             TEXT NOT NULL,
    enrolled_at             TEXT NOT NULL,
    last_seen_at            TEXT NOT NULL,
    clock_offset_ns         BIGINT NOT NULL,
    spooled                 BIGINT NOT NULL,
    spooled_bytes           BIGINT NOT NULL,
    revoked_at              TEXT NOT NULL,
    isolation_desired       TEXT NOT NULL,
    isolation_observed      TEXT NOT NULL,
    isolation_measured_at   TEXT NOT NULL,
    isolation_received_at   TEXT NOT NULL,
    isolation_way_home      BIGINT NOT NULL,
    isolation_rules_digest  TEXT NOT NULL,
    isolation_dropped       BIGINT NOT NULL,
    isolation_detail        TEXT NOT NULL,
    isolation_command_id    TEXT NOT NULL,
    isolation_capable       BIGINT NOT NULL
);
CREATE INDEX endpoint_endpoint_organisation ON endpoint_endpoint (organisation_id);

CREATE TABLE enroll_token (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    secret_sha256   TEXT NOT NULL UNIQUE,
    auto            BIGINT NOT NULL,
    note            TEXT NOT NULL,
    created_by      TEXT NOT NULL,
    created_at      TEXT NOT NULL,
    expires_at      TEXT NOT NULL,
    max_uses        BIGINT NOT NULL,
    uses            BIGINT NOT NULL,
    revoked_at      TEXT NOT NULL
);

-- One row per public key that ever asked: asking again finds the same row.
CREATE TABLE enroll_request (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    token_id        TEXT NOT NULL,
    key_sha256      TEXT NOT NULL UNIQUE,
    public_key      TEXT NOT NULL,
    code            TEXT NOT NULL,
    hostname        TEXT NOT NULL,
    os              TEXT NOT NULL,
    arch            TEXT NOT NULL,
    platform        TEXT NOT NULL,
    agent_version   TEXT NOT NULL,
    remote_addr     TEXT NOT NULL,
    requested_at    TEXT NOT NULL,
    status          TEXT NOT NULL,
    decided_at      TEXT NOT NULL,
    decided_by      TEXT NOT NULL,
    reason          TEXT NOT NULL,
    endpoint_id     TEXT NOT NULL
);
CREATE INDEX enroll_request_status ON enroll_request (organisation_id, status);

CREATE TABLE enroll_certificate (
    serial          TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    endpoint_id     TEXT NOT NULL,
    key_sha256      TEXT NOT NULL,
    der             TEXT NOT NULL,
    not_before      TEXT NOT NULL,
    not_after       TEXT NOT NULL,
    issued_at       TEXT NOT NULL,
    revoked_at      TEXT NOT NULL
);
CREATE INDEX enroll_certificate_endpoint ON enroll_certificate (endpoint_id);
CREATE INDEX enroll_certificate_key ON enroll_certificate (key_sha256);
