package idstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/anchor"
	"github.com/rollcall-dev/rollcall/internal/keeper"
)

// MaxRetired is how many retired IDs are kept. The oldest make room: after
// that many resets, a copy of the config from before all of them could bring
// an ID back.
const MaxRetired = 256

// A ledger holds the IDs that were reset or forgotten, as hashes in a file
// beside the anchor. A copy of the config that still has one of them is stale.
// Without a file it lasts as long as the process.
type ledger struct {
	file *anchor.Anchor // nil if there is no place for one
	// others are the other records beside the anchor, whose temporary files
	// are swept too.
	others []*anchor.Anchor

	mu     sync.Mutex
	hashes []string // as last read, the oldest first
}

// ledgerHeader is the first line of the file, for people.
const ledgerHeader = "# Hashes of installation IDs that were reset or forgotten. Rollcall never uses these IDs again."

const (
	hashSize = 2 * sha256.Size
	// maxLedger is the size of a full file in bytes.
	maxLedger = len(ledgerHeader) + 1 + MaxRetired*(hashSize+1)
)

// hashOf returns what stands for a retired ID. The ID is random, so that its
// hash does not reveal it.
func hashOf(id installid.ID) string {
	sum := sha256.Sum256([]byte("rollcall retired installation ID " + id.String()))
	return hex.EncodeToString(sum[:])
}

// errDamaged means that the file holds something else.
var errDamaged error = damagedError{}

type damagedError struct{}

func (damagedError) Error() string {
	return "damaged; remove it once no old copy of the config is left that could bring an ID back"
}

// Permanent says that there is no point in reading it again soon.
func (damagedError) Permanent() bool { return true }

// parseLedger returns the hashes in a file with this text.
func parseLedger(text string) (hashes []string, err error) {
	for line := range strings.Lines(text) {
		switch line = strings.TrimSpace(line); {
		case line == "" || line[0] == '#':
		case len(line) == hashSize && strings.Trim(line, "0123456789abcdef") == "":
			hashes = append(hashes, line)
		default:
			return nil, errDamaged
		}
	}
	return hashes, nil
}

// refresh reads the file. An error means that any ID may be retired.
func (l *ledger) refresh(ctx context.Context) error {
	if l.file == nil {
		return nil
	}
	return l.take(l.file.Read(ctx))
}

// refreshInFlight is refresh as part of an operation of the file's flight. If
// the file cannot be read, the ledger stays as it was.
func (l *ledger) refreshInFlight(ctx context.Context) { _ = l.take(l.file.Peek(ctx)) }

// take takes over what was read.
func (l *ledger) take(text string, err error) error {
	var hashes []string
	switch {
	case isAbsent(err):
	case err != nil:
		return fmt.Errorf("read retired installation IDs: %w", err)
	case text == "": // empty or too large
		return l.damaged()
	default:
		if hashes, err = parseLedger(text); err != nil {
			return l.damaged()
		}
	}
	l.set(hashes)
	return nil
}

// ledgerWait bounds the wait for the ledger before an ID is used.
const ledgerWait = time.Second

// refreshToUse is refresh before a stored ID is used. If the ledger cannot be
// read, or not in time, the ID is kept: nothing is sent or written meanwhile.
func (l *ledger) refreshToUse(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, ledgerWait)
	defer cancel()
	_ = l.refresh(ctx)
}

// check refuses to write while the ledger cannot be read, and to store a
// retired ID.
func (l *ledger) check(ctx context.Context, id installid.ID) error {
	if err := l.refresh(ctx); err != nil {
		return err
	}
	if l.has(id) {
		return keeper.ErrRetired
	}
	return nil
}

func (l *ledger) damaged() error {
	return fmt.Errorf("read retired installation IDs: %s: %w", l.file.Path(), errDamaged)
}

// isAbsent reports whether an error of a read means that there is no such file.
// What a symlink leads to may only be out of reach.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) && !errors.Is(err, anchor.ErrDangling) || errors.Is(err, syscall.ENOTDIR)
}

func (l *ledger) set(hashes []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hashes = hashes
}

// has reports whether an ID was retired when the ledger was last read.
func (l *ledger) has(id installid.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.hashes) > 0 && !id.IsZero() && slices.Contains(l.hashes, hashOf(id))
}

// valid reports whether a text is an ID that is not retired.
func (l *ledger) valid(text string) bool {
	id, err := ParseID(text)
	return err == nil && !l.has(id)
}

// retire adds the IDs that are not zero, durably if there is a file.
func (l *ledger) retire(ctx context.Context, ids ...installid.ID) error {
	var added []string
	for _, id := range ids {
		if !id.IsZero() {
			added = append(added, hashOf(id))
		}
	}
	if len(added) == 0 {
		return nil
	}
	with := func(hashes []string) []string {
		for _, hash := range added {
			if !slices.Contains(hashes, hash) {
				hashes = append(hashes, hash)
			}
		}
		return hashes[max(0, len(hashes)-MaxRetired):]
	}
	if l.file == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.hashes = with(l.hashes)
		return nil
	}
	err := l.file.Update(ctx, func(old string, exists bool) (string, error) {
		hashes, err := parseLedger(old)
		if err != nil || exists && old == "" {
			return "", errDamaged
		}
		hashes = with(hashes)
		return strings.Join(append([]string{ledgerHeader}, hashes...), "\n"), nil
	})
	if err != nil {
		return fmt.Errorf("retire installation ID: %w", err)
	}
	return l.refresh(ctx)
}

// sweep removes temporary files of killed processes.
func (l *ledger) sweep(ctx context.Context) {
	if l.file == nil {
		return
	}
	l.file.Sweep(ctx) // what remains is removed at the next start
	for _, file := range l.others {
		file.Sweep(ctx)
	}
}
