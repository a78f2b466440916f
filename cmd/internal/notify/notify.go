// Package notify tells the service manager (systemd's notify protocol, sd_notify(3)) how a process is. Without a manager
// all of it does nothing.
package notify

import (
	"log/slog"
	"math"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// A Manager is told how the process is. Make it with [New].
//
// A message is a write to a socket that blocks while its reader does not read. So a goroutine of its own sends them, and
// what does not fit into its short queue is dropped: no method blocks but Close.
type Manager struct {
	log   *slog.Logger
	queue chan string
	done  chan struct{}
	every time.Duration
}

// queueLen is far more than a manager that reads lets come together.
const queueLen = 16

// New begins to talk to the service manager, if there is one. Logger gets a line when that fails; it is not nil.
func New(log *slog.Logger) *Manager {
	m := &Manager{log: log, queue: make(chan string, queueLen), done: make(chan struct{})}
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("Watchdog not used", "error", err.Error())
	}
	m.every = interval / 2 // as sd_watchdog_enabled(3) recommends
	go m.send()
	return m
}

func (m *Manager) send() {
	defer close(m.done)
	failed := false
	for message := range m.queue {
		_, err := daemon.SdNotify(false, message)
		if err != nil && !failed {
			m.log.Warn("Service manager not informed", "error", err.Error())
		}
		failed = err != nil
	}
}

func (m *Manager) tell(message string) {
	select {
	case m.queue <- message:
	default:
	}
}

// PingEvery is how often Ping is to be called.
func (m *Manager) PingEvery() time.Duration {
	if m.every <= 0 {
		return math.MaxInt64
	}
	return m.every
}

// Ping feeds the watchdog.
func (m *Manager) Ping() { m.tell(daemon.SdNotifyWatchdog) }

// Ready says that the process serves.
func (m *Manager) Ready(text string) { m.tell(daemon.SdNotifyReady + "\n" + statusLine(text)) }

// Status gives the line that the manager shows.
func (m *Manager) Status(text string) { m.tell(statusLine(text)) }

// Stopping says that the process ends.
func (m *Manager) Stopping() { m.tell(daemon.SdNotifyStopping) }

// Close waits until all is sent, no longer than d. Nothing may be told afterwards.
func (m *Manager) Close(d time.Duration) {
	close(m.queue)
	select {
	case <-m.done:
	case <-time.After(d):
	}
}

// statusLine makes an assignment of text, which must not begin another one.
func statusLine(text string) string {
	return "STATUS=" + strings.Join(strings.Fields(text), " ")
}
