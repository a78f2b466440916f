package collector

import "errors"

// MaxTotalBytes bounds the data of one record that an import of totals takes.
const MaxTotalBytes = 1 << 20

// Errors of ImportTotals and Load.
var (
	// ErrNotEmpty says that the app has counted something already.
	ErrNotEmpty = errors.New("the app has figures of its own")
	// ErrArchive says that what is to be imported cannot be.
	ErrArchive = errors.New("totals cannot be read")
)
