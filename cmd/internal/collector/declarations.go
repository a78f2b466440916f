package collector

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/rollcall-dev/rollcall/report"
)

// A Declarations is what a maintainer declares of an app: names and values that
// always have their place, whoever else reports what. As JSON it is a
// [report.Declaration] with one field more:
//
//	{"facts": [...], "releases": [{"version": "2.0.0", "released": "2026-05-06"}]}
type Declarations struct {
	// Facts are those of the host. Nil is none.
	Facts *report.Declaration
	// Releases are versions, at most MaxDeclaredReleases, in the order of
	// their declaration.
	Releases []DeclaredRelease
}

// A DeclaredRelease is a version, and the day it came out; 0 if that is the day
// of its first report.
type DeclaredRelease struct {
	Version  string `json:"version"`
	Released Day    `json:"released,omitzero"`
}

// MaxDeclaredReleases bounds the releases of a declaration: half of the versions
// that an app can have.
const MaxDeclaredReleases = MaxVersions / 2

type declarationsJSON struct {
	Facts    json.RawMessage   `json:"facts"`
	Releases []DeclaredRelease `json:"releases,omitempty"`
}

// MarshalJSON implements [json.Marshaler].
func (d Declarations) MarshalJSON() ([]byte, error) {
	var out declarationsJSON
	text, err := json.Marshal(d.Facts)
	if d.Facts == nil {
		text = []byte("{}")
	}
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		return nil, err
	}
	if out.Facts == nil {
		out.Facts = []byte("[]")
	}
	out.Releases = d.Releases
	return json.Marshal(out)
}

// UnmarshalJSON implements [json.Unmarshaler]. Unknown fields are errors.
func (d *Declarations) UnmarshalJSON(data []byte) error {
	var in declarationsJSON
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil {
		return fmt.Errorf("read declaration: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return fmt.Errorf("read declaration: something follows it")
	}
	*d = Declarations{Releases: in.Releases}
	if in.Facts == nil {
		return nil
	}
	text, err := json.Marshal(map[string]json.RawMessage{"facts": in.Facts})
	if err == nil {
		d.Facts, err = report.ParseDeclaration(text)
	}
	return err
}

// Validate reports what is wrong with the declarations.
func (d *Declarations) Validate() error {
	if len(d.Releases) > MaxDeclaredReleases {
		return fmt.Errorf("%d releases are declared, more than %d", len(d.Releases), MaxDeclaredReleases)
	}
	for i, release := range d.Releases {
		switch v := release.Version; {
		case v == "" || len(v) > report.MaxVersionLen || report.NormalizeVersion(v) != v:
			return fmt.Errorf("%q is not a version", v)
		case slices.ContainsFunc(d.Releases[:i], func(other DeclaredRelease) bool { return other.Version == v }):
			return fmt.Errorf("release %s is declared twice", v)
		}
	}
	return nil
}

// AddRelease adds a release, or changes the one with the version. Beyond
// MaxDeclaredReleases the one that was declared first is dropped.
func (d *Declarations) AddRelease(release DeclaredRelease) {
	d.Releases = slices.DeleteFunc(slices.Clone(d.Releases), func(other DeclaredRelease) bool { return other.Version == release.Version })
	d.Releases = append(d.Releases, release)
	d.Releases = d.Releases[max(0, len(d.Releases)-MaxDeclaredReleases):]
}
