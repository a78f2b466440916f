// Package paging reads a table of a store page by page, so that no transaction
// stays open while the caller works on the rows.
package paging

import (
	"fmt"
	"iter"
)

// Rows yields the rows of page after page, up to one with fewer than limit rows.
// Read returns the page after the last row; last is nil for the first page.
func Rows[T any](limit int, read func(last *T) ([]T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var last *T
		for {
			rows, err := read(last)
			if err != nil {
				var zero T
				yield(zero, fmt.Errorf("read: %w", err))
				return
			}
			for _, row := range rows {
				if !yield(row, nil) {
					return
				}
			}
			if len(rows) < limit {
				return
			}
			last = &rows[len(rows)-1]
		}
	}
}
