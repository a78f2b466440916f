package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// A wire is a connection for commits. It exists because pgx may ask the server to
// cancel what it waits for when a context ends; a commit that waits for a standby
// would then count as written without being there. A wire never does. It knows
// deadlines only, and whoever misses one closes it.
type wire struct {
	conn     net.Conn
	frontend *pgproto3.Frontend
}

// dial connects.
func (db *DB) dial(ctx context.Context) (*wire, error) {
	conn, err := pgconn.ConnectConfig(ctx, &db.config.ConnConfig.Config)
	if err != nil {
		return nil, err
	}
	h, err := conn.Hijack()
	if err != nil {
		conn.Close(ctx)
		return nil, err
	}
	return &wire{h.Conn, h.Frontend}, nil
}

func (w *wire) close() { w.conn.Close() }

// maxMessage bounds a message. The server's own limit is 1 GB.
const maxMessage = 512 << 20

// A reply is what the server said to a message.
type reply struct {
	tags    []string   // of the statements that were executed
	rows    [][][]byte // of all statements, as text
	warning string     // the first one, if any
	err     *pgconn.PgError
	inTx    bool // a transaction is open, or has failed and must be rolled back
}

// query begins a message; the caller appends statements.
func query() []byte { return []byte{'Q', 0, 0, 0, 0} }

// exec sends a message made by query, and waits for the whole answer. With an
// error, it is not known what the server did, and the connection is of no
// further use.
func (w *wire) exec(message []byte, deadline time.Time) (*reply, error) {
	message = append(message, 0)
	if len(message) > maxMessage {
		return nil, fmt.Errorf("message of %d MB is too large", len(message)>>20)
	}
	binary.BigEndian.PutUint32(message[1:], uint32(len(message)-1))
	if err := w.conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	if _, err := w.conn.Write(message); err != nil {
		return nil, err
	}
	r := &reply{}
	for {
		m, err := w.frontend.Receive()
		if err != nil {
			return nil, err
		}
		switch m := m.(type) {
		case *pgproto3.CommandComplete:
			r.tags = append(r.tags, string(m.CommandTag))
		case *pgproto3.DataRow:
			row := make([][]byte, len(m.Values))
			for i, value := range m.Values {
				row[i] = slices.Clone(value)
			}
			r.rows = append(r.rows, row)
		case *pgproto3.NoticeResponse:
			if severity := m.SeverityUnlocalized; severity == "WARNING" && r.warning == "" {
				r.warning = m.Message
			}
		case *pgproto3.ErrorResponse:
			r.err = pgconn.ErrorResponseToPgError(m)
			if r.err.SeverityUnlocalized != "ERROR" {
				return nil, r.err // the server ends the connection
			}
		case *pgproto3.ReadyForQuery:
			r.inTx = m.TxStatus != 'I'
			return r, nil
		}
	}
}

// isCut reports whether an error is that of a connection that was closed.
func isCut(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || strings.Contains(err.Error(), "conn closed")
}
