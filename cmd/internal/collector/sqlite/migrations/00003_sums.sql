-- +goose Up
-- Each row has a checksum: see sums.go.
ALTER TABLE identity ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
UPDATE identity SET sum = rollcall_sum(key, app, num);
UPDATE installation SET state = rollcall_seal(id, state);
UPDATE record SET data = rollcall_seal(kind, app, day, name, data);
UPDATE journal SET data = rollcall_seal(data);
