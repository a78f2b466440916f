package idstore_test

import (
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall/internal/idstore"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// TestLongNames keeps an anchor and a state for every name that a config can
// have. Where there always was one it keeps its name, and two configs never
// share one.
func TestLongNames(t *testing.T) {
	const suffix = ".installation-id"
	taken := make(map[string]string)
	for _, base := range []string{
		"config.json",
		strings.Repeat("a", 238), // the longest with the plain name
		strings.Repeat("a", 239), // the first without
		strings.Repeat("a", 240),
		strings.Repeat("a", 255),       // the longest that there is
		strings.Repeat("a", 254) + "b", // differs at its end only
		strings.Repeat("ä", 127),       // two bytes each
		"x" + strings.Repeat("ä", 127), // the same, not aligned
		strings.Repeat("日", 85),        // three bytes each
		"xy" + strings.Repeat("日", 84),
		"." + strings.Repeat("🙂", 63),                         // four bytes each
		strings.Repeat("a", 200) + strings.Repeat("\xff", 55), // not UTF-8
		strings.Repeat("\x80", 255),                           // not one character begins in it
		strings.Repeat("a", 237) + ".json" + strings.Repeat("b", 13),
	} {
		disk := faultfs.New()
		disk.MkdirAll("/srv/app", 0o755)
		l := idstore.Location{ConfigPath: "/srv/app/" + base, Key: idKey}
		store := open(t, disk, l)
		rec, err := store.Save(t.Context(), known)
		if err != nil || rec.ID != known || rec.Incomplete {
			t.Errorf("%q: save: got %+v, %v", base, rec, err)
			continue
		}
		records, err := abs(l).OpenRecords(disk, store)
		if err == nil {
			err = records.SaveNote(t.Context(), idstore.StateNote, []byte("{}"))
		}
		if err != nil {
			t.Errorf("%q: save state: %v", base, err)
		}
		var anchor string
		for _, file := range disk.Files() {
			name := path.Base(file)
			if len(name) > 255 || utf8.ValidString(base) && !utf8.ValidString(name) {
				t.Errorf("%q: has file %q", base, name)
			}
			if strings.HasSuffix(name, suffix) {
				anchor = name
			}
		}
		if len(disk.Files()) != 3 || anchor == "" {
			t.Errorf("%q: got files %q", base, disk.Files())
		}
		if len(base) <= 238 && anchor != "."+base+suffix {
			t.Errorf("%q: got anchor %q", base, anchor)
		}
		if other := taken[anchor]; other != "" {
			t.Errorf("%q and %q share an anchor", base, other)
		}
		taken[anchor] = base
		// The anchor alone is found again.
		disk.Delete(l.ConfigPath)
		if rec, err := open(t, disk, l).Load(t.Context()); err != nil || rec.ID != known {
			t.Errorf("%q: load: got %+v, %v", base, rec, err)
		}
	}
}
