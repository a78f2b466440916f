package postgres

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/rowsum"
)

// rowsPerStatement bounds the rows of one statement.
const rowsPerStatement = 10_000

// A builder makes the message of a commit.
type builder struct {
	message    []byte
	statements int
	// columns are arrays of the rows of the current statement.
	columns [5][]byte
	rows    int
}

// message returns the message that commits a batch as the next one, and the number
// of its statements. The fence comes first, so that a store that lost it changes
// nothing and waits for nobody.
func (s *Store) message(b *collector.Batch) (message []byte, statements int, err error) {
	m := &builder{message: query()}
	m.statement("BEGIN")
	if s.db.local {
		m.statement("SET LOCAL synchronous_commit = on")
	}
	m.statement(s.fence(s.seq+1, b.Scrub))
	if b.TrimJournal > 0 {
		m.statement("DELETE FROM rollcall_journal WHERE number <= " + strconv.FormatInt(b.TrimJournal, 10))
	}
	if len(b.Journal) > 0 {
		m.begin("INSERT INTO rollcall_journal (number, data) VALUES (" + strconv.FormatInt(s.seq+1, 10) + ", ")
		m.message = appendSealed(append(m.message, `'\x`...), b.Journal, rowsum.Journal(b.Journal))
		m.message = append(m.message, "')"...)
	}
	m.putIdentities(b.PutIdentities)
	m.putInstallations(b.PutInstallations)
	m.dropIdentities(b.DropIdentities)
	m.dropInstallations(b.DropInstallations)
	m.records(b.Records)
	m.statement("COMMIT")
	if len(m.message) >= maxMessage {
		return nil, 0, fmt.Errorf("batch of %d MB is too large", len(m.message)>>21)
	}
	return m.message, m.statements, nil
}

// fence returns the statement that fails unless the store leads, and that makes
// next the number of the last commit.
func (s *Store) fence(next int64, scrub bool) string {
	set := ""
	if scrub {
		set = ", scrub = true"
	}
	// The division fails unless there is one row.
	return fmt.Sprintf(`WITH held AS (UPDATE rollcall_fence SET seq = %d, until = greatest(until, now() + %s)%s
		WHERE id = 1 AND epoch = %d AND seq = %d AND token = '\x%x' RETURNING 1) SELECT 1 / count(*) FROM held`,
		next, s.interval(), set, s.epoch, s.seq, s.token)
}

func (m *builder) begin(sql string) {
	if m.statements > 0 {
		m.message = append(m.message, ';', '\n')
	}
	m.message = append(m.message, sql...)
	m.statements++
}

func (m *builder) statement(sql string) { m.begin(sql) }

// The last of several rows with the same key wins: a statement must not touch a
// row twice.
func last[T any, K comparable](rows []T, key func(T) K) []T {
	seen := make(map[K]int, len(rows))
	for i, row := range rows {
		seen[key(row)] = i
	}
	if len(seen) == len(rows) {
		return rows
	}
	kept := make([]T, 0, len(seen))
	for i, row := range rows {
		if seen[key(row)] == i {
			kept = append(kept, row)
		}
	}
	return kept
}

// arrays appends a statement for each chunk of rows: the parts of the statement
// with an array of values in between. Add appends a row to the columns.
func arrays[T any](m *builder, rows []T, add func(T), parts ...string) {
	for chunk := range slices.Chunk(rows, rowsPerStatement) {
		for i := range m.columns {
			m.columns[i] = m.columns[i][:0]
		}
		m.rows = 0
		for _, row := range chunk {
			add(row)
			m.rows++
		}
		m.begin(parts[0])
		for i, part := range parts[1:] {
			m.message = append(m.message, "'{"...)
			m.message = append(m.message, m.columns[i]...)
			m.message = append(m.message, "}'"...)
			m.message = append(m.message, part...)
		}
	}
}

// column returns a column to append a value to.
func (m *builder) column(i int) []byte {
	if m.rows > 0 {
		m.columns[i] = append(m.columns[i], ',')
	}
	return m.columns[i]
}

func (m *builder) number(i int, n int64) { m.columns[i] = strconv.AppendInt(m.column(i), n, 10) }

func (m *builder) key(i int, key collector.Key) { m.columns[i] = hex.AppendEncode(m.column(i), key[:]) }

// bytes appends a value of type bytea, whose backslash is escaped in an array.
func (m *builder) bytes(i int, data []byte) {
	m.columns[i] = append(hex.AppendEncode(append(m.column(i), `"\\x`...), data), '"')
}

func (m *builder) sealed(i int, data []byte, sum rowsum.Sum) {
	m.columns[i] = append(appendSealed(append(m.column(i), `"\\x`...), data, sum), '"')
}

// appendSealed appends the digits of a sealed value.
func appendSealed(dst, data []byte, sum rowsum.Sum) []byte {
	v := sum.Value()
	return hex.AppendEncode(hex.AppendEncode(dst, data), []byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

func (m *builder) putIdentities(rows []collector.Identity) {
	rows = last(rows, func(r collector.Identity) collector.Key { return r.Key })
	arrays(m, rows, func(r collector.Identity) {
		m.key(0, r.Key)
		m.number(1, rowsum.Place(r.App, r.Num))
		m.number(2, int64(int32(rowsum.Identity(r).Value())))
	}, "INSERT INTO rollcall_identity (key, place, sum) SELECT * FROM unnest(", "::uuid[], ", "::bigint[], ",
		"::integer[]) ON CONFLICT (key) DO UPDATE SET place = excluded.place, sum = excluded.sum")
}

func (m *builder) putInstallations(rows []collector.Installation) {
	rows = last(rows, func(r collector.Installation) int64 { return rowsum.Place(r.App, r.Num) })
	arrays(m, rows, func(r collector.Installation) {
		place := rowsum.Place(r.App, r.Num)
		m.number(0, place)
		m.sealed(1, r.State, rowsum.Installation(place, r.State))
	}, "INSERT INTO rollcall_installation (place, state) SELECT * FROM unnest(", "::bigint[], ",
		"::bytea[]) ON CONFLICT (place) DO UPDATE SET state = excluded.state")
}

func (m *builder) dropIdentities(keys []collector.Key) {
	arrays(m, keys, func(key collector.Key) { m.key(0, key) }, "DELETE FROM rollcall_identity WHERE key = ANY (", "::uuid[])")
}

func (m *builder) dropInstallations(rows []collector.Installation) {
	arrays(m, rows, func(r collector.Installation) { m.number(0, rowsum.Place(r.App, r.Num)) },
		"DELETE FROM rollcall_installation WHERE place = ANY (", "::bigint[])")
}

func (m *builder) records(rows []collector.Record) {
	rows = last(rows, func(r collector.Record) collector.RecordKey { return r.RecordKey })
	var put, drop []collector.Record
	for _, row := range rows {
		if row.Data == nil {
			drop = append(drop, row)
		} else {
			put = append(put, row)
		}
	}
	key := func(r collector.Record) {
		m.bytes(0, []byte(r.Kind))
		m.number(1, int64(r.App))
		m.number(2, int64(r.Day))
		m.bytes(3, []byte(r.Name))
	}
	arrays(m, drop, key, "DELETE FROM rollcall_record r USING unnest(", "::bytea[], ", "::integer[], ", "::integer[], ",
		"::bytea[]) AS k (kind, app, day, name) WHERE (r.kind, r.app, r.day, r.name) = (k.kind, k.app, k.day, k.name)")
	arrays(m, put, func(r collector.Record) {
		key(r)
		m.sealed(4, r.Data, rowsum.Record(r.RecordKey, r.Data))
	}, "INSERT INTO rollcall_record (kind, app, day, name, data) SELECT * FROM unnest(", "::bytea[], ", "::integer[], ", "::integer[], ",
		"::bytea[], ", "::bytea[]) ON CONFLICT (kind, app, day, name) DO UPDATE SET data = excluded.data")
}
