-- +goose Up
-- The tables of names and values have numbers that are used once. The engine
-- reads those of version 1, and writes the new form. An older program cannot
-- read it; the version says so.
SELECT 1;
