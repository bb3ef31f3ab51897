package app_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/internal/natstest"
)

const password = "pass!word"

var asAdmin = nats.UserInfo("admin", "admin")

// users is an authorization block with one user, and one for the test.
func users(permissions, user string) string {
	return permissions + "\nauthorization { users: [ " + user + ", { user: admin, password: admin } ] }\n"
}

const byPassword = `{ user: retail, password: "` + password + `", permissions: $RETAIL }`

// everything runs the pipeline on an empty server, then with one transaction of each
// kind, and then, since its consumer is gone, with all of them again.
func (s *secured) everything(bus string, p page) {
	s.t.Helper()
	cfg := s.config(p, bus)
	for round := range 3 {
		log, err := s.run(cfg, "")
		require.NoError(s.t, err, log)
		require.NotContains(s.t, log, "ermission")
		s.next(round)
	}
	require.Empty(s.t, s.missing())
}

// next does what a round of the pipeline is followed by.
func (s *secured) next(round int) {
	s.t.Helper()
	switch round {
	case 0:
		s.fill()
	case 1:
		require.NoError(s.t, s.admin.DeleteConsumer(s.t.Context(), "RETAIL", "score"))
	}
}

// Each way to say who we are, with the permissions of the page where there are any:
// parking, dead letters, the record of starts, and making it all.
func TestSecured(t *testing.T) {
	p := readPage(t)
	t.Run("password", func(t *testing.T) {
		t.Parallel()
		s := newSecured(t, t.TempDir(), users(p.conf[0], byPassword), nil, asAdmin)
		s.write("nats-password", password+"\n")
		s.everything("", p)
	})
	t.Run("token", func(t *testing.T) {
		t.Parallel()
		s := newSecured(t, t.TempDir(), "authorization { token: t0ken }", nil, nats.Token("t0ken"))
		s.write("nats-token", "t0ken\n")
		s.everything(p.yaml[1], p)
	})
	t.Run("nkey", func(t *testing.T) {
		t.Parallel()
		pair, err := nkeys.CreateUser()
		require.NoError(t, err)
		s := newSecured(t, t.TempDir(), users(p.conf[0], "{ nkey: "+natstest.PublicKey(t, pair)+", permissions: $RETAIL }"), nil, asAdmin)
		s.write("retail.nk", natstest.SeedOf(t, pair))
		s.everything(p.yaml[2], p)
	})
	t.Run("creds", func(t *testing.T) {
		t.Parallel()
		o := natstest.NewOperator(t)
		admin := t.TempDir() + "/admin.creds"
		(&secured{t: t, dir: filepath.Dir(admin)}).write("admin.creds", o.Creds(time.Time{}, nil))
		s := newSecured(t, t.TempDir(), "", o.Trusted, nats.UserCredentials(admin))
		s.write("retail.creds", o.Creds(time.Time{}, map[string]any{
			"pub": map[string]any{"allow": subjects(p.conf[0])}, "sub": map[string]any{"allow": []string{"_INBOX_RETAIL.>"}},
		}))
		s.everything(p.yaml[3], p)
	})
	t.Run("context", func(t *testing.T) {
		t.Parallel()
		s := newSecured(t, t.TempDir(), users(p.conf[0], byPassword), nil, asAdmin)
		s.write("prod.json", `{ "url": "nats://`+s.url+`", "user": "retail", "password": "`+password+`" }`)
		s.everything(p.yaml[4], p)
	})
	t.Run("TLS", func(t *testing.T) {
		t.Parallel()
		a := natstest.NewAuthority(t)
		a.Issue("server", forLocalhost)
		s := newSecured(t, filepath.Dir(a.File), `tls { cert_file: /run/secrets/server.pem, key_file: /run/secrets/server-key.pem }
`+users(p.conf[0], byPassword), nil, asAdmin, nats.RootCAs(a.File))
		s.write("nats-password", password+"\n")
		s.everything(p.yaml[5], p)
	})
	t.Run("mutual TLS", func(t *testing.T) {
		t.Parallel()
		a := natstest.NewAuthority(t)
		a.Issue("server", forLocalhost)
		a.Issue("retail", nil)
		cert, key := a.Issue("admin", nil)
		s := newSecured(t, filepath.Dir(a.File), `tls { cert_file: /run/secrets/server.pem, key_file: /run/secrets/server-key.pem, ca_file: /run/secrets/ca.pem, verify_and_map: true }
`+p.conf[0]+`
authorization { users: [ { user: "CN=retail", permissions: $RETAIL }, { user: "CN=admin" } ] }`, nil, nats.RootCAs(a.File), nats.ClientCert(cert, key))
		s.everything(p.yaml[6], p)
	})
}

// Where it all exists, the last part of the permissions is not needed.
func TestSecuredWithoutMaking(t *testing.T) {
	p := readPage(t)
	making := strings.Index(p.conf[0], "    # What Ergon makes")
	require.Positive(t, making)
	var options *natsserver.Options
	conf := users(p.conf[0], byPassword)
	s := newSecured(t, t.TempDir(), conf, func(o *natsserver.Options) { options = o }, asAdmin)
	s.write("nats-password", password)
	cfg := s.config(p, "")
	for round := range 2 {
		log, err := s.run(cfg, "")
		require.NoError(t, err, log)
		s.next(round * 2)
	}
	less := options.Clone()
	for _, u := range less.Users {
		if u.Permissions != nil {
			u.Permissions.Publish.Allow = subjects(p.conf[0][:making])
		}
	}
	require.NoError(t, s.server.ReloadOptions(less))
	_, err := s.admin.Publish(t.Context(), "retail.lines", []byte(`"later"`))
	require.NoError(t, err)
	log, err := s.run(cfg, "")
	require.NoError(t, err, log)
	require.NotContains(t, log, "ermission")
	_, now := s.stored("RETAIL_OUT")
	require.EqualValues(t, 3, now)
}

// Without any one of them the run says which is missing, and what to do.
func TestSecuredPermissionsAreNeeded(t *testing.T) {
	p := readPage(t)
	all := subjects(p.conf[0])
	require.Greater(t, len(all), 25)
	for _, subject := range all {
		switch subject {
		case "$JS.API.STREAM.MSG.GET.RETAIL": // see TestPullerIsDrainedWhereTheStreamMayNotBeAsked
			continue
		case "$JS.API.STREAM.PURGE.OBJ_ERGON_DLQ_PAYLOADS": // what was stored before stays beside it
			continue
		}
		t.Run(subject, func(t *testing.T) {
			t.Parallel()
			s := newSecured(t, t.TempDir(), users(p.permissions(t, subject), byPassword), nil, asAdmin)
			s.write("nats-password", password)
			cfg := s.config(p, "")
			want := `this user may not publish on \"` + strings.TrimSuffix(subject, ">")
			said := ""
			for round := range 3 {
				log, err := s.run(cfg, want)
				if said = log; err != nil {
					said += strings.ReplaceAll(err.Error(), `"`, `\"`)
				}
				if strings.Contains(said, want) {
					require.Regexp(t, regexp.QuoteMeta(want)+`[^ ]*\\": allow it at the server`, said)
					return
				}
				s.next(round)
			}
			require.Fail(t, "nothing says what is missing", said)
		})
	}
}

// Without its inbox, or with another's, nothing could be asked: that is said at once.
func TestSecuredInbox(t *testing.T) {
	p := readPage(t)
	s := newSecured(t, t.TempDir(), users(p.conf[0], byPassword), nil, asAdmin)
	s.write("nats-password", password)
	cfg := s.config(p, "")
	cfg.Bus.InboxPrefix = ""
	_, err := s.run(cfg, "")
	require.ErrorIs(t, err, bus.ErrDenied)
	require.ErrorContains(t, err, `this user may not subscribe to "_INBOX.`)
	require.ErrorContains(t, err, "bus.inbox_prefix")
}
