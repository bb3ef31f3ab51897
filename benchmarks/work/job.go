package work

import (
	"sync"
	"sync/atomic"
	"time"
)

// Job is all that a contender is told: where its transactions are, what to do,
// and within which bounds. It travels to the contender's process as JSON.
type Job struct {
	URL string `json:"url"` // of the server
	// Stream and Durable name the consumer to pull from. It exists.
	Stream  string `json:"stream"`
	Durable string `json:"durable"`
	// Output is the subject for outputs, in OutputStream; both are empty where a
	// transaction is only to be acknowledged.
	Output       string `json:"output"`
	OutputStream string `json:"output_stream"`
	// Dead is the subject for dead letters, in DeadStream. It exists.
	Dead       string `json:"dead"`
	DeadStream string `json:"dead_stream"`
	// Concurrency is how many attempts may wait for the service at once, Window how
	// many transactions may be unsettled.
	Concurrency int `json:"concurrency"`
	Window      int `json:"window"`
	// Wait is how long the service takes.
	Wait time.Duration `json:"wait"`
	// Faulty makes some attempts fail: see FailsOnce and Poison.
	Faulty bool `json:"faulty"`
	// Attempts is how often a transaction is tried, Backoff the wait in between.
	Attempts int           `json:"attempts"`
	Backoff  time.Duration `json:"backoff"`
	// Inputs is how many transactions there are in all.
	Inputs int64 `json:"inputs"`
	// Profile, if set, is what the files begin with that the harness writes profiles
	// of the contender's process to.
	Profile string `json:"profile,omitempty"`
	// Parts, if any, are tasks that share the job in one process. Then Durable and
	// Output name no consumer and no subject.
	Parts []Part `json:"parts,omitempty"`
	// Target is the URL that inputs are to be sent to, by at most Concurrency requests at
	// once, where the job is to send them; see Path for where it is to take requests.
	Target string `json:"target,omitempty"`
	// Say tells the harness where the contender takes requests, as a URL, or that it has
	// sent all inputs, which is no URL. It is set where a job is to do one of these.
	Say func(url string) error `json:"-"`

	tally tally
}

// Part is one task of several. Input id is for part id modulo their number.
type Part struct {
	Durable string `json:"durable"` // of Job.Stream
	Subject string `json:"subject"` // that the consumer filters
	Output  string `json:"output"`  // in Job.OutputStream
}

// tally counts with the least that does: an attempt costs two atomic additions,
// and the clock is read for the first and the last.
type tally struct {
	attempts, sum atomic.Int64
	mu            sync.Mutex
	first, last   time.Time
}

// Report is what a contender's process says when it ends.
type Report struct {
	Attempts int64     `json:"attempts"`
	Sum      int64     `json:"sum"` // of the totals
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"` // when attempt number Inputs was made
	// SetupCPU is what the process had used before it got its job.
	SetupCPU time.Duration `json:"setup_cpu"`
	// MaxRSS is the most memory that was resident, in bytes; 0 where the system does
	// not say.
	MaxRSS int64 `json:"max_rss"`
}

// Publishes reports whether outputs are to be published.
func (j *Job) Publishes() bool { return j.Output != "" }

// Do is one attempt; the first has the number 1. A contender decodes before it
// and encodes after it.
func (j *Job) Do(attempt int, in In) (Out, error) {
	n := j.tally.attempts.Add(1)
	if n == 1 || n == j.Inputs {
		j.tally.mark(n == 1)
	}
	if j.Wait > 0 {
		time.Sleep(j.Wait)
	}
	if j.Faulty {
		switch {
		case Poison(in.ID):
			return Out{}, ErrPoison
		case attempt == 1 && FailsOnce(in.ID):
			return Out{}, ErrOnce
		}
	}
	out := Compute(in)
	j.tally.sum.Add(out.Total)
	return out, nil
}

func (t *tally) mark(first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if first {
		t.first = now
	}
	t.last = now
}

// Report is what was done so far.
func (j *Job) Report() Report {
	t := &j.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	return Report{Attempts: t.attempts.Load(), Sum: t.sum.Load(), First: t.first, Last: t.last}
}
