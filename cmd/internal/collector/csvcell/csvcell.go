// Package csvcell makes cells of CSV files safe for the spreadsheets that open them.
package csvcell

import "strings"

// Text gives a text as it stands in a cell: one that would be taken for a formula gets an apostrophe before it.
func Text(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r\n", rune(text[0])) {
		return "'" + text
	}
	return text
}
