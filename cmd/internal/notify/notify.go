// Package notify informs a service manager that speaks systemd's notify
// protocol, sd_notify(3). Without one it does nothing.
package notify

import (
	"log/slog"
	"math"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// A Manager is the service manager of this process. Create it with [New].
//
// A message is a write to a socket, which blocks while nobody reads it.
// So a goroutine sends the messages, and those that do not fit its short
// queue are dropped. Only Close blocks.
type Manager struct {
	log   *slog.Logger
	queue chan string
	done  chan struct{}
	every time.Duration
}

// queueLen is far more than can wait for a manager that reads.
const queueLen = 16

// New connects to the service manager, if there is one. The logger, which
// is not nil, gets a line when that fails.
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

func (m *Manager) post(message string) {
	select {
	case m.queue <- message:
	default:
	}
}

// PingEvery returns the interval at which Ping is to be called.
func (m *Manager) PingEvery() time.Duration {
	if m.every <= 0 {
		return math.MaxInt64
	}
	return m.every
}

// Ping feeds the watchdog.
func (m *Manager) Ping() { m.post(daemon.SdNotifyWatchdog) }

// Ready says that the process is ready to serve.
func (m *Manager) Ready(text string) { m.post(daemon.SdNotifyReady + "\n" + statusLine(text)) }

// Status sets the line that the manager shows.
func (m *Manager) Status(text string) { m.post(statusLine(text)) }

// Stopping says that the process is about to end.
func (m *Manager) Stopping() { m.post(daemon.SdNotifyStopping) }

// Close waits at most d until everything is sent. Call it last.
func (m *Manager) Close(d time.Duration) {
	close(m.queue)
	select {
	case <-m.done:
	case <-time.After(d):
	}
}

// statusLine keeps text from starting another assignment.
func statusLine(text string) string {
	return "STATUS=" + strings.Join(strings.Fields(text), " ")
}
