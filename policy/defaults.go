package policy

import "time"

// The defaults are chosen to outlast a blip. A few attempts within 300 ms would
// carry a whole backlog into the dead-letter store while a dependency restarts.
// Process waits 0.2, 0.6, 1.8, 5.4, 16.2, 48.6 and 60 seconds, over two minutes
// in all, before it gives up; produce waits 12.7 seconds, and up to eight attempts
// of 5 s beside. All of them are finite (R069). They are frozen by golden files:
// changing one changes behaviour for everybody who did not write it down (R036).

// DefaultConsumer is a complete policy that is valid as it is. Change what
// differs, or decode a document over it; see the package documentation for why
// defaults are filled in before and not after.
func DefaultConsumer() Consumer {
	return Consumer{
		Loop: Loop{
			Streaming:   true,
			Mode:        ModeContinuous,
			Concurrency: defaultConcurrency,
			Window:      defaultWindow,
		},
		Fetch: Fetch{
			Retry:   defaultFetchRetry(),
			Batch:   Batch{Size: defaultBatch},
			Empty:   Empty{Backoff: ms(50), BackoffMultiplier: 2, BackoffCap: sec(1)},
			Breaker: defaultBreaker(),
		},
		Transaction: defaultTransaction(),
		Process: defaultPhase(Retry{
			MaxAttempts: 8, Timeout: sec(30),
			Backoff: ms(200), BackoffMultiplier: 3, BackoffCap: sec(60), Jitter: 0.2,
		}),
		Produce:   defaultPhase(defaultProduceRetry()),
		Success:   defaultPhase(defaultHookRetry()),
		Exception: defaultPhase(defaultHookRetry()),
		Shutdown:  defaultShutdown(),
	}
}

// DefaultProducer is a complete policy that is valid as it is; use it as
// DefaultConsumer.
func DefaultProducer() Producer {
	return Producer{
		Loop: ProducerLoop{
			Mode:        ModeBatch,
			Concurrency: defaultConcurrency,
			Window:      defaultWindow,
		},
		Batch:       Batch{Size: defaultBatch},
		Fetch:       ProducerFetch{Retry: defaultFetchRetry(), Breaker: defaultBreaker()},
		Transaction: defaultTransaction(),
		Produce:     defaultPhase(defaultProduceRetry()),
		Success:     defaultPhase(defaultHookRetry()),
		Exception:   defaultPhase(defaultHookRetry()),
		Shutdown:    defaultShutdown(),
	}
}

// DefaultService is the policy of a service's calls: three attempts of 5 s of what may be
// made twice, and no limits. An attempt of a task can hold all of that, and the engine
// tries again what failed here, so it is not to outlast an outage.
func DefaultService() Phase {
	return defaultPhase(Retry{MaxAttempts: 3, Timeout: sec(5), Backoff: ms(50), BackoffMultiplier: 2, BackoffCap: sec(1), Jitter: 0.2})
}

const (
	defaultConcurrency = 256
	defaultWindow      = 1024
	defaultBatch       = 256
)

func defaultFetchRetry() Retry {
	return Retry{MaxAttempts: 5, Backoff: ms(100), BackoffMultiplier: 2, BackoffCap: sec(5)}
}

func defaultProduceRetry() Retry {
	return Retry{MaxAttempts: 8, Timeout: sec(5), Backoff: ms(100), BackoffMultiplier: 2, BackoffCap: sec(10)}
}

func defaultHookRetry() Retry {
	return Retry{MaxAttempts: 3, Timeout: sec(5), Backoff: ms(100), BackoffMultiplier: 2, BackoffCap: sec(1)}
}

// defaultPhase gives a phase its retry and leaves the limits off. What belongs to
// a limit that is off still has a useful value, so that one key switches it on.
func defaultPhase(r Retry) Phase {
	return Phase{Retry: r, Breaker: defaultBreaker(), RateLimit: RateLimit{Per: sec(1)}}
}

func defaultBreaker() Breaker { return Breaker{Delay: sec(10), Successes: 1} }

func defaultTransaction() Transaction {
	return Transaction{
		Timeout: sec(5 * 60), MaxDeliveries: 5,
		RedeliverOver: sec(5), StuckAfter: sec(60),
	}
}

func defaultShutdown() Shutdown { return Shutdown{Grace: sec(25)} }

func ms(n int64) Duration  { return Duration(n) * Duration(time.Millisecond) }
func sec(n int64) Duration { return Duration(n) * Duration(time.Second) }
