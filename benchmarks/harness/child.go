package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ergon-framework/ergon/benchmarks/work"
)

// A Contender does a job until ctx ends. By then all of it is settled.
type Contender func(ctx context.Context, job *work.Job) error

// The subcommands of the binary that are meant for itself.
const (
	cmdServer  = "run-server"
	cmdContend = "run-contender"
	cmdReceive = "run-receiver"
)

// Child runs this process as one of the harness's children, if its arguments say
// that it is one, and returns its exit code.
//
// A child lives as long as its standard input: it ends in order when the harness
// closes it, and also when the harness is gone, whatever became of it. It ignores
// interrupts, which a terminal sends to all processes at once.
func Child(args []string, contenders map[string]Contender) (code int, isChild bool) {
	if len(args) == 0 || args[0] != cmdServer && args[0] != cmdContend && args[0] != cmdReceive {
		return 0, false
	}
	signal.Ignore(os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	var err error
	switch {
	case args[0] == cmdServer && len(args) == 2:
		err = serve(ctx, args[1])
	case args[0] == cmdContend && len(args) == 3:
		err = contend(ctx, contenders[args[1]], args[2])
	case args[0] == cmdReceive && len(args) == 2:
		err = receive(ctx, args[1])
	default:
		err = fmt.Errorf("%s: wrong arguments: only the harness starts this", args[0])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	return 0, true
}

// hello is the first line of a server's, and the only one of nats-server. A contender
// that sends says it without a URL when it has sent all.
type hello struct {
	URL string `json:"url"`
}

func serve(ctx context.Context, dir string) error {
	srv, err := server.NewServer(&server.Options{
		ServerName: "bench", Host: "127.0.0.1", Port: server.RANDOM_PORT,
		JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true,
	})
	if err != nil {
		return fmt.Errorf("make a server on %s: %w", dir, err)
	}
	srv.Start()
	defer func() {
		srv.Shutdown()
		srv.WaitForShutdown()
		_ = os.RemoveAll(dir) // the harness does so too, unless it was killed
	}()
	if !srv.ReadyForConnections(20 * time.Second) {
		return errors.New("the server was not ready within 20 s: is the disk full, or the machine overloaded?")
	}
	if err := json.NewEncoder(os.Stdout).Encode(hello{URL: srv.ClientURL()}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func contend(ctx context.Context, run Contender, text string) error {
	if run == nil {
		return errors.New("there is no such contender in this binary")
	}
	job := new(work.Job)
	if err := json.Unmarshal([]byte(text), job); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	job.Say = func(url string) error { return json.NewEncoder(os.Stdout).Encode(hello{URL: url}) }
	stop := func() error { return nil }
	if job.Profile != "" {
		var err error
		if stop, err = profiling(job.Profile); err != nil {
			return err
		}
	}
	setup := cpuTime()
	if err := errors.Join(run(ctx, job), stop()); err != nil {
		return err
	}
	if ctx.Err() == nil {
		return errors.New("the contender returned before it was told to")
	}
	report := job.Report()
	report.SetupCPU, report.MaxRSS = setup, maxRSS()
	return json.NewEncoder(os.Stdout).Encode(report)
}

// maxRSS is asked of /proc, and not of the parent's rusage: there, a process that
// was begun by vfork and exec has its parent's peak as the least.
func maxRSS() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscanf(rest, "%d kB", &kib); err != nil {
		return 0
	}
	return kib << 10
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0 // then the start counts as work, for all contenders
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
