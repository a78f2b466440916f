package rollcalltest

import (
	"context"
	"sync"
)

// Memory stands for a host's settings: its methods are for rollcall.Config's Load and Save. The zero value holds no ID.
// It is safe for concurrent use.
type Memory struct {
	mu    sync.Mutex
	id    string
	err   error
	saves int
}

// Load gives the ID.
func (m *Memory) Load(context.Context) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.id, m.err
}

// Save keeps the ID.
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

// Set makes id the stored ID.
func (m *Memory) Set(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.id = id
}

// Fail lets Load and Save fail with err; nil lets them work again.
func (m *Memory) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// Saves tells how often Save succeeded.
func (m *Memory) Saves() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.saves
}
