-- +goose Up
-- What is written per installation is 100 bytes or less: see TestBytesPerInstallation.
CREATE TABLE identity (
	key BLOB NOT NULL PRIMARY KEY,
	app INTEGER NOT NULL,
	num INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE installation (
	id    INTEGER PRIMARY KEY, -- app << 32 | num
	state BLOB NOT NULL
);

-- With a rowid, since many values are several kilobytes: without one, the tree would hold a quarter of a page of each.
CREATE TABLE record (
	kind TEXT NOT NULL,
	app  INTEGER NOT NULL,
	day  INTEGER NOT NULL,
	name TEXT NOT NULL,
	data BLOB NOT NULL,
	PRIMARY KEY (kind, app, day, name)
);

-- AUTOINCREMENT: a number that was trimmed is not given again.
CREATE TABLE journal (
	number INTEGER PRIMARY KEY AUTOINCREMENT,
	data   BLOB NOT NULL
);
