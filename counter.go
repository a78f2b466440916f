package rollcall

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/report"
)

// daysCounted is how many days a [Counter] covers, today included.
const daysCounted = 7

// A Counter counts how often something is used, for a fact such as "10 to 99
// exports this week". Only the range that the number lies in is sent. The zero
// value is ready to use, and safe for concurrent use; it must not be copied. It
// lives in memory, so a restart begins at 0 unless the host keeps the text of
// [Counter.MarshalText] in its settings.
type Counter struct {
	mu   sync.Mutex
	day  int64              // of the last count, since 1970 in UTC
	days [daysCounted]int64 // counts by day, modulo daysCounted
}

// Add counts n uses, today. It takes well under a microsecond and waits for
// nothing. A number below 1 counts as none.
func (c *Counter) Add(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn()
	at := &c.days[c.day%daysCounted]
	if sum := *at + max(n, 0); sum >= *at { // else too many to count
		*at = sum
	}
}

// Week returns how many uses were counted today and on the six days before, in
// UTC.
func (c *Counter) Week() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn()
	var sum int64
	for _, n := range c.days {
		if sum += n; sum < 0 {
			return 1<<63 - 1
		}
	}
	return sum
}

// turn makes today the current day and forgets those that are too long ago. A
// clock that is set back turns nothing.
func (c *Counter) turn() {
	const day = 24 * 60 * 60
	today := max(time.Now().Unix()/day, c.day)
	for c.day = max(c.day, today-daysCounted); c.day < today; {
		c.day++
		c.days[c.day%daysCounted] = 0
	}
}

// MarshalText returns the counts as one short line, for the host to keep.
func (c *Counter) MarshalText() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn()
	text := strconv.AppendInt(nil, c.day, 10)
	for i := range c.days { // from the oldest day to today
		text = strconv.AppendInt(append(text, ' '), c.days[(c.day+1+int64(i))%daysCounted], 10)
	}
	return text, nil
}

// UnmarshalText adds the counts of a text that [Counter.MarshalText] returned,
// as far as they are not too old. The empty text adds none, and so does one that
// is damaged, which is an error.
func (c *Counter) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	fields := strings.Fields(string(text))
	numbers := make([]int64, len(fields))
	for i, field := range fields {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil || n < 0 {
			return errCounterText
		}
		numbers[i] = n
	}
	if len(numbers) != 1+daysCounted {
		return errCounterText
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn()
	for i, n := range numbers[1:] {
		day := numbers[0] - daysCounted + 1 + int64(i)
		if at := &c.days[max(day, 0)%daysCounted]; day > c.day-daysCounted && day <= c.day && *at+n >= *at {
			*at += n
		}
	}
	return nil
}

var errCounterText = errors.New("not the text of a Counter")

// Fact returns the fact of [Counter.Week] in ranges with these bounds; see
// report.BucketFact.
func (c *Counter) Fact(name, reason string, bounds ...int64) Fact {
	return Fact{
		Declaration: report.BucketFact(name, reason, bounds...),
		Value:       func(context.Context) (any, error) { return c.Week(), nil },
	}
}
