package rollcall

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// openTerminal returns the two ends of a pseudo-terminal, the person's and the
// program's. It avoids golang.org/x/sys, which would end up in the go.sum of
// hosts' tests.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	var number, unlock int32
	for _, request := range []struct {
		code uintptr
		arg  *int32
	}{{syscall.TIOCSPTLCK, &unlock}, {syscall.TIOCGPTN, &number}} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, person.Fd(), request.code, uintptr(unsafe.Pointer(request.arg))); errno != 0 {
			t.Fatal(errno)
		}
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

func TestAsk(t *testing.T) {
	const before = `{"telemetry": {}}`
	for _, tt := range []struct {
		name, typed string
		want        Consent
		saved       string
	}{
		{"updates: yes", "y\n", Granted, `{"telemetry": {"update_check": true}}`},
		{"updates: no", "no\n", Denied, `{"telemetry": {"update_check": false}}`},
		{"updates: silence", "", Unset, before},
		{"yes", "yes\n", Granted, `{"telemetry": {"enabled": true}}`},
		{"no", "n\n", Denied, `{"telemetry": {"enabled": false}}`},
		{"something else", "what?\n", Unset, before},
		{"return", "\n", Unset, before},
		{"silence", "", Unset, before},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.json")
			if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
				t.Fatal(err)
			}
			service, err := New(Config{ConfigPath: path, Consent: ConsentConfig{PolicyPath: filepath.Join(t.TempDir(), "none.json")}})
			if err != nil {
				t.Fatal(err)
			}
			person, program := openTerminal(t)
			if _, err := person.WriteString(tt.typed); err != nil {
				t.Fatal(err)
			}
			options := AskOptions{Question: "Well? "}
			if tt.typed == "" {
				options.Timeout = 50 * time.Millisecond
			}
			about := aboutTelemetry
			if strings.HasPrefix(tt.name, "updates") {
				about = aboutUpdates
			}
			got, err := service.ask(t.Context(), about, options, program, program)
			if got != tt.want || err != nil {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
			saved, err := os.ReadFile(path)
			if err != nil || strings.TrimSpace(string(saved)) != tt.saved {
				t.Errorf("saved %s, %v, want %s", saved, err, tt.saved)
			}
		})
	}
}

// TestAskSavesInBoundedTime: saving an answer has a deadline.
func TestAskSavesInBoundedTime(t *testing.T) {
	service, err := New(Config{ConfigPath: filepath.Join(t.TempDir(), "config.json")})
	if err != nil {
		t.Fatal(err)
	}
	person, program := openTerminal(t)
	if _, err := person.WriteString("y\n"); err != nil {
		t.Fatal(err)
	}
	about := aboutTelemetry
	about.save = func(_ *Service, ctx context.Context, _ bool) error {
		if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > askSaveTimeout {
			t.Errorf("the deadline of saving is %v, %t", deadline, ok)
		}
		return context.DeadlineExceeded
	}
	if got, err := service.ask(context.Background(), about, AskOptions{}, program, program); got != Unset || err == nil {
		t.Errorf("got %v, %v, want an error", got, err)
	}
}
