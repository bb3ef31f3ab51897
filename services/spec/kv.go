package spec

import "github.com/ergon-framework/ergon/policy"

// KV is a bucket of JetStream.
type KV struct {
	// The bucket's name: letters, digits, dashes and underscores. Required.
	Bucket string `json:"bucket" yaml:"bucket"`
	// Whether a bucket that is missing is made, with the keys below. One that exists is
	// left as it is. Default false: then a missing one is an error.
	Create bool `json:"create" yaml:"create"`
	// How long a value lives. 0s is for ever. Default 0s.
	TTL policy.Duration `json:"ttl" yaml:"ttl"`
	// How many values of a key are kept, from 1 to 64. Default 1.
	History int `json:"history" yaml:"history" jsonschema:"minimum=1,maximum=64"`
	// How many servers keep it, from 1 to 5. Default 1.
	Replicas int `json:"replicas" yaml:"replicas" jsonschema:"minimum=1,maximum=5"`
	// Whether all of it is kept in memory and followed by a watch, for reference data that
	// is read often and changes seldom: a get asks nobody then, and may be a moment behind.
	// Default false.
	Cache bool `json:"cache" yaml:"cache"`
	// The most that the cache holds, in bytes of keys and values; over it the service is
	// not ready, and gets go to the bucket. Default 64 MiB.
	CacheBytes int64 `json:"cache_bytes" yaml:"cache_bytes" jsonschema:"minimum=1"`
}

// DefaultCacheBytes bounds the cache where nothing is said.
const DefaultCacheBytes = 64 << 20

// DefaultKV is what is in force where nothing is said. What is required is missing.
func DefaultKV() KV { return KV{History: 1, Replicas: 1, CacheBytes: DefaultCacheBytes} }
