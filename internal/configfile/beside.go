package configfile

// Beside gives another File of the same path, for other keys: the two never have an operation in flight at the same
// time, so that a disk which hangs costs one goroutine for both. What either could not make durable it knows by itself.
func (f *File) Beside() *File {
	return &File{path: f.path, fresh: f.fresh, fs: f.fs, flight: f.flight}
}
