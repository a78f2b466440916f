package rollcall

import (
	"context"
	"strings"
	"unicode"
)

// orderedByLibrary is the source of a withdrawal whose context does not say
// who ordered it.
const orderedByLibrary = "library"

// maxOrderedBy bounds the name of who ordered a change, in bytes.
const maxOrderedBy = 64

type orderedByKey struct{}

// OrderedBy returns a context that says who orders a change, such as "page" or
// "rollcall disable". [Service.SetConsent], [Service.SetHealthConsent],
// [Service.Reset] and [Service.Forget] record it with a withdrawal, and the
// status shows it. It is for people: at most 64 bytes of one line are kept. A
// context without it stands for "library".
func OrderedBy(ctx context.Context, who string) context.Context {
	return context.WithValue(ctx, orderedByKey{}, who)
}

// orderedBy returns who ordered a change, as one short line.
func orderedBy(ctx context.Context) string {
	who, _ := ctx.Value(orderedByKey{}).(string)
	who = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(who, " "))
	if len(who) > maxOrderedBy {
		who = strings.ToValidUTF8(who[:maxOrderedBy], "")
	}
	if who = strings.TrimSpace(who); who == "" {
		return orderedByLibrary
	}
	return who
}
