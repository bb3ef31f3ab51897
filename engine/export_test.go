package engine

import "github.com/ergon-framework/ergon/policy"

// Policy is the policy in force, which nothing public shows.
func (e *Engine) Policy() policy.Consumer { return e.policy }

// Workers is how many goroutines there are for user code, busy or not.
func (e *Engine) Workers() int {
	e.runq.mu.Lock()
	defer e.runq.mu.Unlock()
	return e.runq.workers
}
