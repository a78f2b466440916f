package engine

import (
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

func aged(age collector.Day) support { return support{age: age, holders: 1} }

// Entries that were given a place make way before those that were there, if they
// are supported less; and an entry whose support has grown keeps its place.
func TestQueue(t *testing.T) {
	t.Parallel()
	supports := map[string]support{"honest": {age: 40, holders: 1}, "old": {age: 40, holders: 1}}
	remade := 0
	all := func() (list []queued[string]) {
		remade++
		for _, entry := range []string{"honest", "old", "forged", "more"} {
			if s, ok := supports[entry]; ok {
				list = append(list, queued[string]{entry, s})
			}
		}
		return list
	}
	now := func(entry string) (support, bool) {
		s, ok := supports[entry]
		return s, ok
	}
	var q queue[string]
	next := func(age collector.Day, want string) {
		t.Helper()
		got, ok := q.next(aged(age), all, now)
		if got != want || ok != (want != "") {
			t.Errorf("age %d: got %q, %v, want %q", age, got, ok, want)
		}
		delete(supports, got)
	}
	add := func(entry string, age collector.Day) {
		supports[entry] = aged(age)
		q.add(entry, supports[entry])
	}
	next(40, "") // as old as they are
	add("forged", 3)
	add("more", 4)
	next(2, "")
	next(40, "forged")
	supports["more"] = aged(50) // somebody older has it now
	next(41, "honest")
	next(41, "old")
	next(41, "")
	next(60, "more")
	next(60, "")
	if remade > 6 {
		t.Errorf("the queue was made %d times", remade)
	}
}
