package peers

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// nginx is a running nginx, in a directory of its own, that listens on one address.
type nginx struct {
	*process
	dir, address, config string
}

// startNginx starts one with a server of these directives; before are those that belong
// to http, such as upstreams. $dir stands for its directory.
func startNginx(t *testing.T, listen, before, server string) *nginx {
	t.Helper()
	n := &nginx{dir: t.TempDir(), address: freePort(t)}
	n.config = filepath.Join(n.dir, "nginx.conf")
	user := ""
	if os.Getuid() == 0 { // its workers would be another one, who may not write here
		user = "user root;\n"
	}
	config := user + fmt.Sprintf(`
daemon off;
worker_processes 2;
pid $dir/pid;
error_log stderr error;
events { worker_connections 2048; }
http {
	access_log off;
	client_body_temp_path $dir/body;
	proxy_temp_path $dir/proxy;
	fastcgi_temp_path $dir/fastcgi;
	uwsgi_temp_path $dir/uwsgi;
	scgi_temp_path $dir/scgi;
	client_header_timeout 1s;
	client_body_timeout 1s;
	proxy_http_version 1.1;
	proxy_set_header Connection "";
	%s
	server {
		listen %s %s;
		%s
	}
}
`, before, n.address, listen, server)
	config = os.Expand(config, func(name string) string {
		if name == "dir" {
			return n.dir
		}
		return "$" + name // one of nginx's own
	})
	require.NoError(t, os.WriteFile(n.config, []byte(config), 0o600))
	n.start(t)
	return n
}

func (n *nginx) start(t *testing.T) {
	t.Helper()
	n.process = start(t, n.dir, nil, installed(t, "nginx"), "-p", n.dir, "-e", "stderr", "-c", n.config)
	n.listening(t, n.address)
}

// reload makes it start anew with the connections that it has left to their ends.
func (n *nginx) reload(t *testing.T) {
	t.Helper()
	require.NoError(t, n.cmd.Process.Signal(syscall.SIGHUP))
}

func (n *nginx) at(path string) string { return "http://" + n.address + path }
