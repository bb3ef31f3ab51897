package engine

import "github.com/ergon-framework/ergon/policy"

// Policy is the policy in force, which nothing public shows.
func (e *Engine) Policy() policy.Consumer { return e.policy }
