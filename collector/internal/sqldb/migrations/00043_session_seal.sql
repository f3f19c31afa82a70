-- What a session keeps is sealed from now on, with a key that is not in the database. Sessions of
-- before have no seal: who was signed in signs in again.
-- +goose Up
DELETE FROM operator_session;
