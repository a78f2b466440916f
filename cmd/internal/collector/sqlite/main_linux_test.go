package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

const (
	committerChild = "committer"
	upgraderChild  = "upgrader"
)

func TestMain(m *testing.M) {
	lab.Register(committerChild, runCommitter)
	lab.Register(upgraderChild, runUpgrader)
	lab.Main(m)
}

// numbered returns the batch of a number: an installation, a journal entry, and a
// record that each batch replaces. Some also scrub and trim the journal.
func numbered(n int) *collector.Batch {
	id := collector.Identity{App: 1, Num: collector.Num(n)}
	copy(id.Key[:], fmt.Sprintf("%016d", n*7919%1_000_003))
	b := &collector.Batch{
		Journal:          []byte(strconv.Itoa(n)),
		PutIdentities:    []collector.Identity{id},
		PutInstallations: []collector.Installation{{App: 1, Num: id.Num, State: fmt.Appendf(nil, "state %d", n)}},
		Records: []collector.Record{{RecordKey: noteKey("last"), Data: []byte(strconv.Itoa(n))},
			{RecordKey: collector.RecordKey{Kind: "large", Name: strconv.Itoa(n % 10)}, Data: make([]byte, 20_000)}},
	}
	if n%50 == 0 {
		b.Scrub, b.TrimJournal = true, int64(n)/2
	}
	return b
}

// runCommitter commits the batches from a number on, and prints each number after
// the commit.
func runCommitter() {
	s, err := sqlite.Open(context.Background(), os.Args[1], sqlite.Options{})
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	n, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	for ; ; n++ {
		if _, err := s.Commit(context.Background(), numbered(n)); err != nil {
			fmt.Println("commit:", err)
			os.Exit(1)
		}
		fmt.Println(n)
	}
}
