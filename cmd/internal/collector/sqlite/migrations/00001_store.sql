-- +goose Up
-- An installation takes at most 100 bytes: see TestBytesPerInstallation.
CREATE TABLE identity (
	key BLOB NOT NULL PRIMARY KEY,
	app INTEGER NOT NULL,
	num INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE installation (
	id    INTEGER PRIMARY KEY, -- app << 32 | num
	state BLOB NOT NULL
);

-- With a rowid, because many values are several kilobytes long: without one, the
-- tree would contain up to a quarter of a page of each.
CREATE TABLE record (
	kind TEXT NOT NULL,
	app  INTEGER NOT NULL,
	day  INTEGER NOT NULL,
	name TEXT NOT NULL,
	data BLOB NOT NULL,
	PRIMARY KEY (kind, app, day, name)
);

-- AUTOINCREMENT does not reuse the numbers of trimmed entries.
CREATE TABLE journal (
	number INTEGER PRIMARY KEY AUTOINCREMENT,
	data   BLOB NOT NULL
);
