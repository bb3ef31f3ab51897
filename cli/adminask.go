package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ergon-framework/ergon/app/config"
)

// adminAsk is how a command asks the admin server of a running process.
type adminAsk struct {
	addr      string
	tokenFile string
	timeout   time.Duration

	token string
}

// maxAnswer is how much of an answer is read.
const maxAnswer = 16 << 20

func (a *adminAsk) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.addr, "admin", "", "`HOST:PORT` of the process's admin server (default: admin.listen, "+config.DefaultAdminListen+")")
	cmd.Flags().StringVar(&a.tokenFile, "token-file", "", "`FILE` with its token (default: ERGON_ADMIN_TOKEN, ERGON_ADMIN_TOKEN_FILE, admin.token)")
	cmd.Flags().DurationVar(&a.timeout, "timeout", 5*time.Second, "wait at most this `TIME` for its answer")
}

// complete fills in what the flags left out. cfg is nil if it was not needed.
func (a *adminAsk) complete(cfg *config.Config, env func(string) (string, bool)) error {
	if a.timeout <= 0 {
		return usage("--timeout %s: it is above 0", a.timeout)
	}
	if a.addr == "" {
		if cfg.Admin.IsOff() {
			return errors.New("admin.listen is off, so a process with this configuration can't be asked: switch it on, or name an address with --admin")
		}
		a.addr, _ = cfg.Admin.Address()
	}
	host, port, err := net.SplitHostPort(a.addr)
	switch {
	case err != nil:
		return usage("--admin %q: it is HOST:PORT", a.addr)
	case port == "0":
		return usage("the process took a free port, and said which in its log: name it with --admin")
	}
	// A process that listens everywhere is asked here.
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip.Is6() && !ip.Is4In6() {
			host = "::1"
		}
	}
	a.addr = net.JoinHostPort(host, port)
	return a.readToken(cfg, env)
}

func (a *adminAsk) readToken(cfg *config.Config, env func(string) (string, bool)) error {
	if a.tokenFile != "" {
		var err error
		if a.token, err = config.ReadSecret(a.tokenFile); err != nil {
			return usage("--token-file: %w", err)
		}
		return nil
	}
	if cfg != nil { // which knows the variables
		a.token = cfg.Admin.Token
		return nil
	}
	a.token, _ = env("ERGON_ADMIN_TOKEN")
	if file, _ := env("ERGON_ADMIN_TOKEN_FILE"); file != "" && a.token == "" {
		var err error
		if a.token, err = config.ReadSecret(file); err != nil {
			return usage("ERGON_ADMIN_TOKEN_FILE: %w", err)
		}
	}
	return nil
}

// adminConfig is the configuration, where a command needs it to know whom to ask: one
// that is named or lies here. With --admin and a token it may be broken, or missing.
func (c *command) adminConfig(a *adminAsk) (*config.Config, error) {
	c.asks = true
	cfg, _, err := c.load(false)
	if err != nil && a.addr != "" && c.file == "" {
		return nil, nil
	}
	return cfg, err
}

// reply is an answer of the server.
type reply struct {
	code int
	json bool
	body []byte
}

func (r reply) text() string { return strings.TrimSpace(string(r.body)) }

// errNobody says that no server answered.
var errNobody = errors.New("nobody answers there: see whether the process runs, and where it listens (admin.listen, --admin)")

// get asks for a path. The error says who was asked.
func (a *adminAsk) get(ctx context.Context, path string, query url.Values) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	to := url.URL{Scheme: "http", Host: a.addr, Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to.String(), nil)
	if err != nil {
		return reply{}, usage("--admin %q: %w", a.addr, err)
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	// No proxy, and no redirect: the token is for this address alone.
	transport := &http.Transport{DisableKeepAlives: true}
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return reply{}, fmt.Errorf("ask %s: %w", a.addr, errNobody)
	case err != nil && ctx.Err() != nil:
		return reply{}, fmt.Errorf("ask %s: no answer within %s", a.addr, a.timeout)
	case err != nil:
		if cause, ok := errors.AsType[*url.Error](err); ok {
			err = cause.Err // the address is said already
		}
		return reply{}, fmt.Errorf("ask %s: %w", a.addr, err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return reply{}, fmt.Errorf("ask %s: read its answer: %w", a.addr, err)
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	r := reply{code: resp.StatusCode, json: media == "application/json", body: body}
	if r.code == http.StatusUnauthorized {
		return r, fmt.Errorf("ask %s: it wants another token than ours: set ERGON_ADMIN_TOKEN, or name one with --token-file", a.addr)
	}
	return r, nil
}
