package rollcalltest

import (
	"context"
	"sync"
)

// A Memory stands for the settings of a host. Its methods Load and Save are
// for the fields of that name in rollcall.Config.ID. The zero value holds no
// ID. A Memory is safe for concurrent use.
type Memory struct {
	mu    sync.Mutex
	id    string
	err   error
	saves int
}

// Load returns the stored ID, or "" if there is none.
func (m *Memory) Load(context.Context) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.id, m.err
}

// Save stores the ID.
func (m *Memory) Save(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	m.id = id
	m.saves++
	return nil
}

// Set replaces the stored ID, as the host or its operator may.
func (m *Memory) Set(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.id = id
}

// Fail makes Load and Save fail with err, until it is called with nil.
func (m *Memory) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// Saves returns how many calls of Save succeeded.
func (m *Memory) Saves() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.saves
}
