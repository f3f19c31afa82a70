-- Who gave a person the sign-in last, a one-time password or a second factor taken away: for a
-- while the two are not two persons. And that something was not done about a deadline after all.
-- +goose Up
ALTER TABLE operator_operator ADD COLUMN password_by TEXT NOT NULL DEFAULT '';
ALTER TABLE operator_operator ADD COLUMN password_at TEXT NOT NULL DEFAULT '';
ALTER TABLE operator_operator ADD COLUMN factor_by TEXT NOT NULL DEFAULT '';
ALTER TABLE operator_operator ADD COLUMN factor_at TEXT NOT NULL DEFAULT '';
ALTER TABLE deadline_done ADD COLUMN withdrawn BIGINT NOT NULL DEFAULT 0;
