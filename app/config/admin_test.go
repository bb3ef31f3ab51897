package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app/config"
)

func TestAdmin(t *testing.T) {
	const beyond = `is not loopback, and without a token everybody who reaches it could ask what runs here: set token, listen on 127.0.0.1, or set allow_insecure where the network keeps others out`
	for text, want := range map[string][]string{
		"admin: { listen: nonsense, trail: -1, token: 'a b' }": {
			`1:18: admin.listen: "nonsense" is not an address: write host:port, or off for none`,
			`1:35: admin.trail: -1 is not between 1 and 1000000`,
			`1:46: admin.token: it is sent in a header, so it has no spaces and no letters beyond ASCII: take another`,
		},
		"admin:\n  listen: 0.0.0.0:9400\n":              {`2:11: admin.listen: "0.0.0.0:9400" ` + beyond},
		"admin: { listen: ':9400' }":                    {`1:18: admin.listen: ":9400" ` + beyond},
		"admin: { listen: 'host:9400' }":                {`1:18: admin.listen: "host:9400" ` + beyond},
		"admin: { listen: '[::]:9400' }":                {`1:18: admin.listen: "[::]:9400" ` + beyond},
		"admin: { listen: ':9400', tokn: x }":           {`1:27: admin.tokn: unknown key "tokn", did you mean "token"?`},
		"admin: { listen: 127.0.0.1:0, pprof: on }":     {`1:38: admin.pprof: "on" is not true or false`},
		"admin: { allow_insecure: true, listen: ':x' }": {`1:40: admin.listen: ":x" is not an address: write host:port, or off for none`},
	} {
		require.Equal(t, want, faults(t, text), text)
	}
	require.Equal(t, []string{`$ERGON_ADMIN_LISTEN: admin.listen: ":1" ` + beyond}, faults(t, "", "ERGON_ADMIN_LISTEN=:1"))
	for _, text := range []string{
		"admin: { listen: off }", "admin: { listen: '[::1]:9400' }", "admin: { listen: localhost:1 }", "admin: { listen: 127.1.2.3:1 }",
		"admin: { listen: ':9400', token: x }", "admin: { listen: ':9400', allow_insecure: true }", "admin: { listen: }",
	} {
		parse(t, text)
	}
	c := parse(t, "admin: { listen: off, pprof: false }", "ERGON_ADMIN_LISTEN=:9", "ERGON_ADMIN_TOKEN=hunter2", "ERGON_ADMIN_PPROF=true",
		"ERGON_ADMIN_ALLOW_INSECURE=true", "ERGON_ADMIN_TRAIL=5")
	require.Equal(t, config.Admin{Listen: ":9", Token: "hunter2", Pprof: true, AllowInsecure: true, Trail: 5}, c.Admin)

	listen, chosen := config.Default().Admin.Address()
	require.Equal(t, "127.0.0.1:9400", listen)
	require.False(t, chosen)
	_, chosen = c.Admin.Address()
	require.True(t, chosen)
	require.True(t, parse(t, "admin: { listen: off }").Admin.IsOff())
}

// However it is printed, the token is not in it.
func TestAdminPrintsWithoutItsToken(t *testing.T) {
	c := parse(t, "admin: { listen: ':9', token: hunter2, pprof: true }")
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "a", c.Admin, "c", c)
	y, err := yaml.Marshal(c.Admin)
	require.NoError(t, err)
	j, err := json.Marshal(struct{ A *config.Admin }{&c.Admin})
	require.NoError(t, err)
	whole, err := json.Marshal(c)
	require.NoError(t, err)
	for _, s := range []string{
		log.String(), string(y), string(j), string(whole), fmt.Sprint(c), fmt.Sprintf("%v %+v %#v", *c, *c, *c),
		fmt.Sprintf("%+v %#v", struct{ A config.Admin }{c.Admin}, c.Admin), verbs(*c), verbs(c.Admin),
	} {
		require.NotContains(t, s, "hunter2")
	}
	require.Equal(t, "listen=:9 token=xxxxx pprof trail=1024", c.Admin.String())
	require.Equal(t, "hunter2", c.Admin.Token, "and it is still there")

	for _, text := range []string{"admin: { token: hunter2, foo: 1 }", "admin: { token: 'hunter2 x' }", "admin: { tokn: hunter2 }", "admin: { token: [hunter2] }"} {
		_, err := config.Parse("ergon.yaml", []byte(text), none)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hunter2", text)
	}
}
