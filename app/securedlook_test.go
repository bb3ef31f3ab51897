package app_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
)

// Who looks needs what the page says, and is told what is missing.
func TestSecuredLook(t *testing.T) {
	p := readPage(t)
	var options *natsserver.Options
	s := newSecured(t, t.TempDir(), p.conf[0]+p.conf[1]+`
authorization { users: [ `+byPassword+`, { user: look, password: look, permissions: $LOOK }, { user: admin, password: admin } ] }`,
		func(o *natsserver.Options) { options = o }, asAdmin)
	s.write("nats-password", password)
	s.everything("", p)
	sizes, said := s.look(false)
	require.Empty(t, said)
	require.Equal(t, map[int]bool{len(`"refuse"`): true, bigPayload: true}, sizes)

	all := subjects(p.conf[1])
	require.Greater(t, len(all), 6)
	for i, subject := range all {
		if strings.HasPrefix(subject, "$JS.FC.") {
			continue // the server asks for it when much is under way, and only then what is missing stalls
		}
		less := options.Clone()
		for _, u := range less.Users {
			if u.Username == "look" {
				u.Permissions.Publish.Allow = slices.Delete(slices.Clone(all), i, i+1)
			}
		}
		require.NoError(t, s.server.ReloadOptions(less))
		_, said := s.look(true)
		require.Contains(t, said, strings.TrimSuffix(subject, ">"))
		// Without DELETE a consumer ends by itself.
		if !strings.Contains(subject, ".DELETE.") {
			require.Contains(t, said, `this user may not publish on "`+strings.TrimSuffix(subject, ">"))
		}
	}
}

// look reads all dead letters as who may only look, and returns how long their payloads
// are, and what went wrong. What nobody waits for is refused a moment later: where
// something is to go wrong, it waits for that.
func (s *secured) look(wrong bool) (sizes map[int]bool, said string) {
	s.t.Helper()
	ctx := s.t.Context()
	b, err := bus.Connect(ctx, bus.Config{URL: "nats://" + s.url, User: "look", Password: "look"})
	if err != nil {
		return nil, err.Error()
	}
	defer func() { require.NoError(s.t, b.Close(context.WithoutCancel(ctx))) }()
	sizes = map[int]bool{}
	_, err = b.ScanDeadLetters(ctx, "ERGON_DLQ", bus.DeadFilter{}, func(r bus.DeadRecord) error {
		at, err := b.DeadLetterAt(ctx, "ERGON_DLQ", r.Sequence)
		if err != nil {
			return err
		}
		payload, err := b.DeadPayload(ctx, at)
		sizes[len(payload)] = true
		return err
	})
	if err == nil && wrong {
		require.Eventually(s.t, func() bool { return b.Status().LastError != nil }, 10*time.Second, time.Millisecond)
	}
	if err == nil {
		err = b.Status().LastError
	}
	if err != nil {
		said = err.Error()
	}
	return sizes, said
}
