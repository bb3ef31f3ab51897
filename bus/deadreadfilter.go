package bus

import (
	"slices"
	"strings"
	"time"
)

// sinceSlack is by how much the clock of whoever failed may be ahead of the
// stream's.
const sinceSlack = time.Hour

// A DeadFilter says which dead letters are meant: those that every field admits.
// What is left zero admits all.
type DeadFilter struct {
	// Tasks, Categories and Phases admit a letter that names one of them, the
	// last two in any case.
	Tasks, Categories, Phases []string
	// Reason admits what has it in its reason, in any case.
	Reason string
	// Subject is the original's, and may have wildcards.
	Subject string
	// TransactionID is that of [DeadRecord].
	TransactionID string
	// Since admits what failed then or later, and Before what failed earlier than that.
	Since, Before time.Time
}

// IsZero reports that all dead letters are meant.
func (f DeadFilter) IsZero() bool {
	return len(f.Tasks)+len(f.Categories)+len(f.Phases) == 0 &&
		f.Reason == "" && f.Subject == "" && f.TransactionID == "" && f.Since.IsZero() && f.Before.IsZero()
}

// Match reports whether r is meant.
func (f DeadFilter) Match(r DeadRecord) bool {
	switch l := r.Letter; {
	case len(f.Tasks) > 0 && !slices.Contains(f.Tasks, l.Task),
		!oneOf(f.Categories, l.Category),
		!oneOf(f.Phases, l.Phase),
		f.Reason != "" && !strings.Contains(strings.ToLower(l.Reason), strings.ToLower(f.Reason)),
		f.Subject != "" && !SubjectMatches(f.Subject, l.Subject),
		f.TransactionID != "" && f.TransactionID != r.TransactionID,
		!f.Since.IsZero() && r.When().Before(f.Since),
		!f.Before.IsZero() && !r.When().Before(f.Before):
		return false
	}
	return true
}

func oneOf(wanted []string, s string) bool {
	return len(wanted) == 0 || slices.ContainsFunc(wanted, func(w string) bool { return strings.EqualFold(w, s) })
}
