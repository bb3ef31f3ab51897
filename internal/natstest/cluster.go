// Package natstest runs a cluster of three nats-servers in this process, whose
// nodes can be killed, started again, and cut off from the others, and has the
// authorities and operators that sign for secured ones. It is for tests alone.
package natstest

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"
)

const (
	size = 3
	// patience bounds each wait; elections take up to 9 s, and a machine may be busy.
	patience = time.Minute
	lookEach = 20 * time.Millisecond
)

// Cluster is three servers with JetStream. Every connection to a node's client
// port, and between two nodes, goes through a link of its own, so that a node can
// be cut off while it runs.
type Cluster struct {
	t       *testing.T
	options [size]*natsserver.Options
	servers [size]*natsserver.Server // nil while killed
	clients [size]*link
	routes  [size][size]*link // from, to
}

// Start starts a cluster and waits until it has a leader. It ends with the test.
func Start(t *testing.T) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	// Each port is asked for while all others are taken, or one could come twice.
	var ports [2 * size]net.Listener
	for i := range ports {
		ports[i] = listen(t)
	}
	for i := range size {
		o := &natsserver.Options{
			ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: portOf(ports[i]),
			NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir(),
			// One connection for a pair of nodes. Gossip would find a way around the
			// links, so what it tells is an address where nobody can be.
			Cluster: natsserver.ClusterOpts{
				Name: "c", Host: "127.0.0.1", Port: portOf(ports[size+i]), PoolSize: -1, Advertise: "127.0.0.1:1",
			},
		}
		c.clients[i] = newLink(t, address(o.Port))
		o.ClientAdvertise = c.clients[i].address()
		for j := range size {
			if i == j {
				continue
			}
			c.routes[i][j] = newLink(t, address(portOf(ports[size+j])))
			o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: c.routes[i][j].address()})
		}
		c.options[i] = o
	}
	for _, p := range ports {
		require.NoError(t, p.Close())
	}
	t.Cleanup(func() {
		for i := range size {
			c.Kill(i)
		}
	})
	for i := range size {
		c.Restart(i)
	}
	c.AwaitWhole()
	return c
}

// URL names every node, for a client to choose from.
func (c *Cluster) URL() string {
	var urls []string
	for _, l := range c.clients {
		urls = append(urls, "nats://"+l.address())
	}
	return strings.Join(urls, ",")
}

// Kill ends a node that runs.
func (c *Cluster) Kill(node int) {
	if s := c.servers[node]; s != nil {
		c.servers[node] = nil
		s.Shutdown()
		s.WaitForShutdown()
	}
}

// Restart starts a killed node with its ports and its store.
func (c *Cluster) Restart(node int) {
	c.t.Helper()
	s, err := natsserver.NewServer(c.options[node].Clone()) // a server writes into its options
	require.NoError(c.t, err)
	c.servers[node] = s
	s.Start()
	require.True(c.t, s.ReadyForConnections(10*time.Second))
}

// Cut breaks every connection between a node and the others, both ways, and lets
// none be made. Its clients may stay.
func (c *Cluster) Cut(node int) { c.between(node, (*link).cut) }

// Silence lets every connection of a node stand, those of its clients too, and
// carries nothing on them: what a lost network looks like from both sides.
func (c *Cluster) Silence(node int) {
	c.between(node, (*link).stall)
	c.clients[node].stall()
}

// Heal ends Cut and Silence. What was held back is carried now.
func (c *Cluster) Heal(node int) {
	c.between(node, (*link).heal)
	c.clients[node].heal()
}

func (c *Cluster) between(node int, do func(*link)) {
	for other := range size {
		if other != node {
			do(c.routes[node][other])
			do(c.routes[other][node])
		}
	}
}

// Name is the name of a node.
func (c *Cluster) Name(node int) string { return c.options[node].ServerName }

// Node is the number of the node with that name.
func (c *Cluster) Node(name string) int {
	c.t.Helper()
	for i, o := range c.options {
		if o.ServerName == name {
			return i
		}
	}
	require.FailNow(c.t, "no such node", "%q", name)
	return 0
}

// Leader is the node that leads a stream or, with a durable, one of its consumers,
// and -1 where none of those that may be asked does. A node that was cut off goes
// on for a while in the belief that it leads: leave it out.
func (c *Cluster) Leader(stream, durable string, without ...int) int {
	for i, s := range c.servers {
		if s == nil || slices.Contains(without, i) {
			continue
		}
		if durable == "" && s.JetStreamIsStreamLeader(natsserver.DEFAULT_GLOBAL_ACCOUNT, stream) ||
			durable != "" && s.JetStreamIsConsumerLeader(natsserver.DEFAULT_GLOBAL_ACCOUNT, stream, durable) {
			return i
		}
	}
	return -1
}

// AwaitLeader waits for a leader other than these nodes.
func (c *Cluster) AwaitLeader(stream, durable string, without ...int) int {
	c.t.Helper()
	leader := -1
	c.await(func() string {
		if leader = c.Leader(stream, durable, without...); leader < 0 {
			return fmt.Sprintf("nobody leads %s %s", stream, durable)
		}
		return ""
	})
	return leader
}

// AwaitWhole waits until every node runs and has everything that its groups have:
// whichever goes next, two that know it all are left.
func (c *Cluster) AwaitWhole() {
	c.t.Helper()
	c.await(c.missing)
}

// missing says what keeps the cluster from being whole.
func (c *Cluster) missing() string {
	led := make(map[string]bool)
	all := make(map[string]bool)
	leaders := 0
	for i, s := range c.servers {
		if s == nil {
			return fmt.Sprintf("n%d is down", i)
		}
		// One connection for each pair, and both ends count it.
		if n := s.NumRoutes(); n != size-1 {
			return fmt.Sprintf("n%d has %d routes", i, n)
		}
		if !s.JetStreamIsCurrent() {
			return fmt.Sprintf("n%d is behind in the meta group", i)
		}
		if s.JetStreamIsLeader() {
			leaders++
			if n := len(s.JetStreamClusterPeers()); n != size {
				return fmt.Sprintf("the leader knows %d peers", n)
			}
		}
		info, err := s.Jsz(&natsserver.JSzOptions{Accounts: true, Streams: true, Consumer: true, RaftGroups: true})
		if err != nil {
			return err.Error()
		}
		for _, account := range info.AccountDetails {
			for _, stream := range account.Streams {
				all[stream.Name] = true
				if why := behind(s, stream.Name, stream.Cluster, led); why != "" {
					return why
				}
				for _, consumer := range stream.Consumer {
					name := stream.Name + "/" + consumer.Name
					all[name] = true
					if why := behind(s, name, consumer.Cluster, led); why != "" {
						return why
					}
				}
			}
		}
	}
	if leaders != 1 {
		return fmt.Sprintf("the meta group has %d leaders", leaders)
	}
	for name := range all {
		if !led[name] {
			return name + " has no leader"
		}
	}
	return ""
}

// behind asks a group's leader for its followers.
func behind(s *natsserver.Server, name string, info *natsserver.ClusterInfo, led map[string]bool) string {
	if info == nil || info.Leader != s.Name() {
		return ""
	}
	led[name] = true
	for _, r := range info.Replicas {
		if !r.Current || r.Offline {
			return fmt.Sprintf("%s: %s is behind by %d", name, r.Name, r.Lag)
		}
	}
	return ""
}

// await looks until missing has nothing to say. It looks from the test's own
// goroutine, for no other may touch the nodes.
func (c *Cluster) await(missing func() string) {
	c.t.Helper()
	end := time.NewTimer(patience)
	defer end.Stop()
	tick := time.NewTicker(lookEach)
	defer tick.Stop()
	for {
		why := missing()
		if why == "" {
			return
		}
		select {
		case <-tick.C:
		case <-end.C:
			require.FailNow(c.t, "the cluster is not whole", why)
		}
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return l
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
