package sqlite

// syncDir does nothing: Windows has no way to sync a folder, and keeps names by itself.
func syncDir(string) error { return nil }
