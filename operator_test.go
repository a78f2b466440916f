package rollcall_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/rollcall-dev/rollcall"
)

func TestOperator(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	service, err := rollcall.New(rollcall.Config{ConfigPath: path})
	if err != nil {
		t.Fatal(err)
	}
	o, err := service.ReadOperator(t.Context())
	if !errors.Is(err, fs.ErrNotExist) || o.Token != "" || o.Owner != os.Getuid() {
		t.Errorf("got %+v, %v", o, err)
	}
	created, err := service.CreateToken(t.Context())
	if err != nil || len(created.Token) != 26 || created.TokenPath != filepath.Join(filepath.Dir(path), ".config.json.rollcall-token") {
		t.Errorf("got %+v, %v", created, err)
	}
	if read, err := service.ReadOperator(t.Context()); read != created || err != nil {
		t.Errorf("got %+v, %v, want %+v", read, err, created)
	}
	var none *rollcall.Service
	if o, err := none.CreateToken(t.Context()); err == nil || o != (rollcall.Operator{Owner: -1}) {
		t.Errorf("without a service: got %+v, %v", o, err)
	}
}
